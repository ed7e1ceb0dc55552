"""How many gradients large problems with bounds take: ProjectedNewton, TNC and L-BFGS-B.

    python benchmarks/large.py

Every gradient counts, those of products with the Hessian included. Counts are exact, nothing is
timed; the gap is that of the value to the minimum, relative to its size.
"""

import warnings

import numpy as np

from optimizers import LBFGSB, TNC, Optimizer, ProjectedNewton
from optimizers.problems import ReferenceProblem, bounded_problems, large_problems

CLASSES: tuple[type[Optimizer], ...] = (ProjectedNewton, TNC, LBFGSB)
#: The most evaluations of a run.
MOST = 20_000


def counted(cls: type[Optimizer], problem: ReferenceProblem) -> tuple[int, float]:
    """Return the gradients of a run, and its gap."""
    count = 0

    def jac(x: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return problem.jac(x)

    optimizer = cls(maxfun=MOST, on_failure="reject")
    fun = optimizer.minimize(problem.fun, problem.x0, jac, bounds=problem.bounds).fun
    minima = (problem.minimum, *problem.other_minima)
    gaps = [abs(fun - minimum) / (1.0 + abs(minimum)) for minimum in minima]
    return count, min(gaps)


def table(words: str, problems: list[ReferenceProblem]) -> None:
    print(f"\n{words}\n{'':<30} " + " ".join(f"{cls.__name__:>24}" for cls in CLASSES))
    totals, solved = [0] * len(CLASSES), [0] * len(CLASSES)
    for problem in problems:
        cells = []
        for i, cls in enumerate(CLASSES):
            count, gap = counted(cls, problem)
            totals[i] += count
            solved[i] += gap <= 1e-5
            cells.append(f"{count:>14} {gap:9.0e}")
        print(f"{problem.name + ' ' + str(problem.n):<30} " + " ".join(cells))
    sums = (f"{total:>14} {count:>9}" for total, count in zip(totals, solved, strict=True))
    print(f"{'sum, solved to 1e-5':<30} " + " ".join(sums))


def main() -> None:
    warnings.simplefilter("ignore")  # of runs that end at their budget
    table("large", large_problems())
    table("bounded", bounded_problems())


if __name__ == "__main__":
    main()
