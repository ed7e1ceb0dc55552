"""Points that global searches take to the lowest minimum, by kind of function: medians of seeds."""

from collections.abc import Callable

import numpy as np

from optimizers import (
    DIRECT,
    SHGO,
    UMDA,
    BasinHopping,
    DifferentialEvolution,
    DualAnnealing,
    Optimizer,
    multistart,
)

BUDGET = 20_000
SEEDS = range(5)
#: How far above the lowest minimum is near enough.
NEAR = 1e-3


def rastrigin(x):
    """Minima on a grid, the lower the nearer to the lowest."""
    return float(np.sum(10 + x**2 - 10 * np.cos(2 * np.pi * x)))


def schwefel(x):
    """Deep minima far apart."""
    return float(418.9828872724338 * x.size - x @ np.sin(np.sqrt(np.abs(x))))


def camel(x):
    """Two variables, six minima."""
    a, b = x
    return float((4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2 + 1.0316284535)


PROBLEMS: dict[str, tuple[Callable[..., float], list[tuple[float, float]]]] = {
    "Rastrigin, n = 6": (rastrigin, [(-5.12, 5.0)] * 6),
    "Schwefel, n = 4": (schwefel, [(-500.0, 490.0)] * 4),
    "camel, n = 2": (camel, [(-3.0, 2.8), (-2.0, 1.9)]),
}
#: Each is given the seed, and the width of the box: a hop is a tenth of it.
MAKERS: dict[str, Callable[[int, float], Optimizer]] = {
    "DualAnnealing": lambda seed, width: DualAnnealing(seed=seed),
    "DifferentialEvolution": lambda seed, width: DifferentialEvolution(seed=seed),
    "BasinHopping": lambda seed, width: BasinHopping(BUDGET, stepsize=width / 10, seed=seed),
    "SHGO, sobol": lambda seed, width: SHGO(n=256, sampling_method="sobol"),
    "DIRECT": lambda seed, width: DIRECT(locally_biased=False, vol_tol=0, len_tol=0),
    "UMDA": lambda seed, width: UMDA(size_gen=100, seed=seed),
}


class Counted:
    """A function that notes after how many points the lowest minimum is found, and ends a run."""

    def __init__(self, fun: Callable[..., float]) -> None:
        self.fun, self.nfev, self.reached = fun, 0, np.inf

    def __call__(self, x: np.ndarray) -> float:
        """Return the value at a point."""
        self.nfev += 1
        value = self.fun(x)
        if value <= NEAR:
            self.reached = min(self.reached, self.nfev)
            raise StopIteration
        return value


def taken(name: str, problem: str, seed: int) -> float:
    """Return the points that a search takes to the lowest minimum; infinity if it misses it."""
    fun, box = PROBLEMS[problem]
    counted, (low, high) = Counted(fun), np.transpose(box)
    if name == "multistart":
        multistart(counted, box, BUDGET, seed=seed, slots=1, agreement=False)
        return counted.reached
    optimizer = MAKERS[name](seed, float(np.mean(high - low)))
    drawn = np.random.default_rng(seed).uniform(low, high)
    x0 = drawn if optimizer.initial_point_support_level >= 2 else None
    optimizer.minimize(counted, x0, bounds=box, maxfun=BUDGET)
    return counted.reached


def main() -> None:
    """Print a row for each search, and a column for each problem."""
    print(f"{'':22}" + "".join(f"{name:>20}" for name in PROBLEMS))
    for name in (*MAKERS, "multistart"):
        cells = []
        for problem in PROBLEMS:
            counts = [taken(name, problem, seed) for seed in SEEDS]
            found = np.isfinite(counts).sum()
            cells.append(f"{np.median(counts):8.0f} ({found} of {len(counts)})")
        print(f"{name:22}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
