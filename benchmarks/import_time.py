"""What an import costs: ours and SciPy's, in turn in processes of their own.

    python benchmarks/import_time.py [--repeats 7]

Seconds of user CPU time, medians, and their ratios to ``import scipy.optimize``: with the compiled
modules that Python keeps on disk, as every program has them but the first.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys

STATEMENTS = ("import scipy.optimize", "import optimizers", "from optimizers import LBFGSB")


def seconds(statement: str) -> float:
    """Return the user CPU time of a process that does nothing but import."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", statement], check=True, env=kept)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for turn in range(given.repeats + 1):
        for statement in STATEMENTS:
            taken = seconds(statement)
            if turn:  # the first turn compiles, and warms up
                times[statement].append(taken)
    medians = {statement: statistics.median(values) for statement, values in times.items()}
    for statement, median in medians.items():
        ratio = median / medians["import scipy.optimize"]
        print(f"{statement:<32} {median:6.3f} s {ratio:6.2f}")


if __name__ == "__main__":
    main()
