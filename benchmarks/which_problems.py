"""The problems of which.py that the package does not bundle."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

Array = np.ndarray


def goldstein_price(x: Array) -> float:
    a, b = x
    first = 19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2
    second = 18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2
    return float((1 + (a + b + 1) ** 2 * first) * (30 + (2 * a - 3 * b) ** 2 * second))


def camel(x: Array) -> float:
    a, b = x**2
    return float((4 - 2.1 * a + a**2 / 3) * a + x[0] * x[1] + 4 * (b - 1) * b)


def hartmann(x: Array) -> float:
    rates = [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
    centers = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ]
    return float(-np.exp(-np.sum(rates * (x - centers) ** 2, axis=1)) @ [1, 1.2, 3, 3.2])


def shekel(x: Array) -> float:
    centers = np.array(
        [(4, 4), (1, 1), (8, 8), (6, 6), (3, 7), (2, 9), (5, 3), (8, 1), (6, 2), (7, 3.6)]
    )
    centers = np.tile(centers, 2)
    centers[6] = 5, 5, 3, 3
    depths = [0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5]
    return float(-np.sum(1 / (np.sum((x - centers) ** 2, axis=1) + depths)))


def styblinski_tang(x: Array) -> float:
    return float(np.sum(x**4 - 16 * x**2 + 5 * x) / 2)


def rastrigin(x: Array) -> float:
    return float(np.sum(x**2 - 10 * np.cos(2 * np.pi * x) + 10))


def ackley(x: Array) -> float:
    deep = 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2)))
    return float(20 - deep + np.e - np.exp(np.mean(np.cos(2 * np.pi * x))))


def griewank(x: Array) -> float:
    return float(x @ x / 4000 - np.prod(np.cos(x / np.sqrt(np.arange(1, x.size + 1)))) + 1)


#: Functions, how many variables they have, the sides of a box, and the minimum there.
FEW: dict[str, tuple[Any, ...]] = {
    "Goldstein-Price": (goldstein_price, 2, -2.0, 2.0, 3.0),
    "camel": (camel, 2, -3.0, 3.0, -1.0316284535),
    "Hartmann 6": (hartmann, 6, 0.0, 1.0, -3.32237),
    "Shekel 10": (shekel, 4, 0.0, 10.0, -10.5364),
    "Styblinski-Tang": (styblinski_tang, 4, -5.0, 5.0, -156.66466),
}
#: The lowest minimum of each, 0 at 0, is not in the middle of the box.
MANY_MINIMA: dict[str, tuple[Any, ...]] = {
    "Rastrigin": (rastrigin, 3, -4.1, 6.3, 0.0),
    "Ackley": (ackley, 3, -11.0, 17.0, 0.0),
    "Griewank": (griewank, 3, -41.0, 63.0, 0.0),
}


def wide(n: int) -> Iterator[tuple[Callable[[Array], tuple[float, Array]], Array]]:
    """Yield functions of n variables with their gradients, each of the minimum 0, and starts."""
    side = round(n**0.5)
    line = scipy.sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(side, side))
    laplace = scipy.sparse.kronsum(line, line, format="csr")
    truth = np.random.default_rng(0).standard_normal(n)

    def membrane(x: Array) -> tuple[float, Array]:
        off = x - truth
        slope = laplace @ off
        return 0.5 * float(off @ slope), slope

    def rosenbrock(x: Array) -> tuple[float, Array]:
        odd, even = x[::2], x[1::2]
        off, slope = even - odd**2, np.empty(n)
        slope[1::2] = 200.0 * off
        slope[::2] = -400.0 * off * odd - 2.0 * (1.0 - odd)
        return float(100.0 * off @ off + np.sum((1.0 - odd) ** 2)), slope

    def singular(x: Array) -> tuple[float, Array]:
        a, b, c, d = x.reshape(-1, 4).T
        r = np.array([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2])
        p, q = 2 * r[2] * (b - 2 * c), 2 * 10**0.5 * r[3] * (a - d)
        parts = [r[0] + q, 10 * r[0] + p, 5**0.5 * r[1] - 2 * p, -(5**0.5) * r[1] - q]
        return float(np.sum(r**2)), 2.0 * np.array(parts).T.ravel()

    def tridiagonal(x: Array) -> tuple[float, Array]:
        padded = np.pad(x, 1)
        r = (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1
        rs = np.pad(r, 1)
        return float(r @ r), 2.0 * ((3 - 4 * x) * r - 2 * rs[:-2] - rs[2:])

    for fun, start in (
        (membrane, [0.0]),
        (rosenbrock, [-1.2, 1.0]),
        (singular, [3.0, -1.0, 0.0, 1.0]),
        (tridiagonal, [-1.0]),
    ):
        yield fun, np.resize(start, n)


@dataclass
class Constrained:
    """A problem of Hock and Schittkowski: constraints are functions that are 0, or at least 0."""

    fun: Callable[[Array], float]
    minimum: float
    start: tuple[float, ...]
    low: float = -np.inf
    high: float = np.inf
    equal: Callable[[Array], Any] | None = None
    at_least: Callable[[Array], Any] | None = None

    @property
    def constraints(self) -> list[dict[str, Any]]:
        """The constraints as SciPy takes them."""
        rules = [("eq", self.equal), ("ineq", self.at_least)]
        return [{"type": kind, "fun": rule} for kind, rule in rules if rule]

    def is_solved(self, x: Array) -> bool:
        """Return whether a point is lower than the minimum and 1e-4, and violates no more."""
        wrong = [0.0, *(self.low - x), *(x - self.high)]
        wrong += np.abs(self.equal(x)).tolist() if self.equal else []
        wrong += (-np.array(self.at_least(x))).tolist() if self.at_least else []
        aim = self.minimum + 1e-4 * (1 + abs(self.minimum))
        return bool(max(wrong) <= 1e-4 and self.fun(x) <= aim)


HOCK_SCHITTKOWSKI = {
    6: Constrained(
        lambda x: (1 - x[0]) ** 2, 0.0, (-1.2, 1.0), equal=lambda x: [10 * (x[1] - x[0] ** 2)]
    ),
    7: Constrained(
        lambda x: np.log(1 + x[0] ** 2) - x[1],
        -(3**0.5),
        (2.0, 2.0),
        equal=lambda x: [(1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4],
    ),
    35: Constrained(
        lambda x: 9 - x @ [8, 6, 4] + x**2 @ [2, 2, 1] + 2 * x[0] * (x[1] + x[2]),
        1 / 9,
        (0.5, 0.5, 0.5),
        low=0.0,
        at_least=lambda x: [3 - x @ [1, 1, 2]],
    ),
    39: Constrained(
        lambda x: -x[0],
        -1.0,
        (2.0, 2.0, 2.0, 2.0),
        equal=lambda x: [x[1] - x[0] ** 3 - x[2] ** 2, x[0] ** 2 - x[1] - x[3] ** 2],
    ),
    43: Constrained(
        lambda x: x**2 @ [1, 1, 2, 1] + x @ [-5, -5, -21, 7],
        -44.0,
        (0.0, 0.0, 0.0, 0.0),
        at_least=lambda x: [
            8 - x**2 @ [1, 1, 1, 1] + x @ [-1, 1, -1, 1],
            10 - x**2 @ [1, 2, 1, 2] + x @ [1, 0, 0, 1],
            5 - x**2 @ [2, 1, 1, 0] + x @ [-2, 1, 0, 1],
        ],
    ),
    71: Constrained(
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        17.0140173,
        (1.0, 5.0, 5.0, 1.0),
        low=1.0,
        high=5.0,
        equal=lambda x: [x @ x - 40],
        at_least=lambda x: [np.prod(x) - 25],
    ),
    76: Constrained(
        lambda x: x**2 @ [1, 0.5, 1, 0.5] + x[2] * (x[3] - x[0]) - x @ [1, 3, -1, 1],
        -4.681818181,
        (0.5, 0.5, 0.5, 0.5),
        low=0.0,
        at_least=lambda x: [5 - x @ [1, 2, 1, 1], 4 - x @ [3, 1, 2, -1], x @ [0, 1, 4, 0] - 1.5],
    ),
    100: Constrained(
        lambda x: (
            (x - [10, 12, 0, 11, 0, 0, 0]) ** 2 @ [1, 5, 0, 3, 0, 7, 0]
            + x[2] ** 4
            + 10 * x[4] ** 6
            + x[6] ** 4
            - 4 * x[5] * x[6]
            - x @ [0, 0, 0, 0, 0, 10, 8]
        ),
        680.6300573,
        (1.0, 2.0, 0.0, 4.0, 0.0, 1.0, 1.0),
        at_least=lambda x: [
            127 - 2 * x[0] ** 2 - 3 * x[1] ** 4 - x[2] - 4 * x[3] ** 2 - 5 * x[4],
            282 - x @ [7, 3, 0, 1, -1, 0, 0] - 10 * x[2] ** 2,
            196 - 23 * x[0] - x[1] ** 2 - 6 * x[5] ** 2 + 8 * x[6],
            3 * x[0] * x[1] - x**2 @ [4, 1, 2, 0, 0, 0, 0] - 5 * x[5] + 11 * x[6],
        ],
    ),
}
