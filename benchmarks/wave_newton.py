"""How many waves a run without gradients takes, and how many points: Newton and L-BFGS-B.

    python benchmarks/wave_newton.py [--n 8 16]

On Rosenbrock's chained function, from zeros and from (1.2, -1, 1.2, -1, ...). Everything that is
asked for at a time is one call of the objective: a wave. Counts are exact, nothing is timed.
"""

import argparse

import numpy as np
from scipy.optimize import rosen

from optimizers import LBFGSB, Optimizer, WaveNewton, vectorized

CLASSES: dict[str, Optimizer] = {
    "WaveNewton(speculate=0)": WaveNewton(speculate=0),
    "WaveNewton()": WaveNewton(),
    "WaveNewton(speculate=2)": WaveNewton(speculate=2),
    "LBFGSB()": LBFGSB(),
    "LBFGSB(speculate=3)": LBFGSB(speculate=3),
}


def counted(optimizer: Optimizer, start: np.ndarray) -> tuple[int, int, float]:
    """Return the waves and points of a run, and the value at its end."""
    sizes = list[int]()

    @vectorized
    def fun(points: np.ndarray) -> np.ndarray:
        sizes.append(len(points))
        return np.asarray(rosen(points.T))

    result = optimizer.minimize(fun, start)
    return len(sizes), sum(sizes), float(result.fun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, nargs="*", default=[8, 16])
    for n in parser.parse_args().n:
        for words, start in {"zeros": np.zeros(n), "1.2, -1": np.resize([1.2, -1.0], n)}.items():
            print(f"\nn = {n}, from {words}\n{'':<24} {'waves':>6} {'points':>7} {'fun':>8}")
            for name, optimizer in CLASSES.items():
                waves, points, fun = counted(optimizer, start)
                print(f"{name:<24} {waves:>6} {points:>7} {fun:>8.1g}")


if __name__ == "__main__":
    main()
