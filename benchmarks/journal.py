"""What a journal adds to an evaluation: as lines of JSON and as a database, without and with fsync.

    python benchmarks/journal.py [--n 2 20 100] [--repeats 11]

L-BFGS-B minimizes Rosenbrock's function in pairs of variables with a journal and without, in turn
in one run; what it takes to open and close one, shown in brackets in milliseconds, is measured by
a run of one evaluation and taken off. ``fun`` and ``jac`` are two calls and two records, with
``jac=True`` they are one, without a gradient each point of the differences is one. The figures are
medians over the turns, in microseconds an evaluation; the last column is a run that is
answered from the journal.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait for each other blur times

import argparse
import statistics
import tempfile
import time

import numpy as np

from optimizers import LBFGSB, Journal


def both(x: np.ndarray) -> tuple[float, np.ndarray]:
    a, b = 1.0 - x[::2], x[1::2] - x[::2] ** 2
    gradient = np.empty(x.size)
    gradient[::2] = -2.0 * a - 400.0 * b * x[::2]
    gradient[1::2] = 200.0 * b
    return float(a.dot(a) + 100.0 * b.dot(b)), gradient


def fun(x: np.ndarray) -> float:
    a, b = 1.0 - x[::2], x[1::2] - x[::2] ** 2
    return float(a.dot(a) + 100.0 * b.dot(b))


def jac(x: np.ndarray) -> np.ndarray:
    return both(x)[1]


FORMS = {"fun, jac": (fun, jac), "jac=True": (both, True), "differences": (fun, None)}
KINDS = {
    "jsonl": ("run.jsonl", "never"),
    "db": ("run.db", "never"),
    "jsonl 1 s": ("run.jsonl", 1.0),
    "jsonl always": ("run.jsonl", "always"),
}


def timed(
    form: str, x: np.ndarray, journal: Journal | None, maxfun: int = 2000
) -> tuple[float, int]:
    """Return the microseconds of a run, and how many evaluations it made."""
    objective, gradient = FORMS[form]
    optimizer = LBFGSB(ftol=0.0, maxfun=maxfun, options={"gtol": 0.0})
    began = time.perf_counter()
    result = optimizer.minimize(objective, x, gradient, journal=journal)
    took = (time.perf_counter() - began) * 1e6
    return took, result.nfev + (result.njev if callable(gradient) else 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, nargs="+", default=[2, 20, 100])
    parser.add_argument("--repeats", type=int, default=11)
    given = parser.parse_args()
    print("microseconds an evaluation: without a journal, and added by one")
    for form in FORMS:
        for n in given.n:
            x = np.resize([-1.2, 1.0], n) + np.linspace(0.0, 0.5, n)
            without: list[float] = []
            replayed: list[float] = []
            added: dict[str, list[float]] = {kind: [] for kind in KINDS}
            opening: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for turn in range(given.repeats + 1):
                took, count = timed(form, x, None)
                first, _ = timed(form, x, None, 1)
                with tempfile.TemporaryDirectory() as folder:
                    for kind, (name, fsync) in KINDS.items():
                        one, all_ = (Journal(f"{folder}/{kind}-{i}-{name}", fsync) for i in "12")
                        fixed = timed(form, x, one, 1)[0] - first
                        whole = timed(form, x, all_)[0] - took
                        if turn:  # the first warms up
                            opening[kind].append(fixed / 1e3)
                            added[kind].append((whole - fixed) / count)
                    again, _ = timed(form, x, Journal(f"{folder}/jsonl-2-run.jsonl"))
                without.append(took / count)
                replayed.append(again / count)
            cells = "  ".join(
                f"{kind} {statistics.median(added[kind]):5.1f} "
                f"({statistics.median(opening[kind]):.1f})"
                for kind in KINDS
            )
            print(
                f"{form:<11} n={n:<3} {count:4} evaluations  without "
                f"{statistics.median(without):4.1f}  {cells}  "
                f"replayed {statistics.median(replayed):4.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
