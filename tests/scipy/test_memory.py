"""The memory of large runs: no more than SciPy's and three vectors."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from optimizers import fmin_l_bfgs_b, fmin_tnc, minimize_lbfgsb, minimize_tnc

# More than the 100 000 variables up to which several points are remembered.
N = 200_000
SCALE = np.linspace(1.0, 50.0, N)
TARGET = np.cos(np.arange(N))
X0 = np.ones(N)
BOUNDS = scipy.optimize.Bounds(np.full(N, -2.0), np.full(N, 1.5))


def value(x: np.ndarray) -> float:
    return float(SCALE @ (x - TARGET) ** 2) / 2


def gradient(x: np.ndarray) -> np.ndarray:
    return SCALE * (x - TARGET)


#: What objects of Python take, in vectors: some kilobytes, of which SciPy has fewer when its run
#: is not the first in its process.
OBJECTS = 0.01


def both(x: np.ndarray) -> tuple[float, np.ndarray]:
    return value(x), gradient(x)


def peak(run: Callable[[], Any]) -> float:
    """Return the most memory that NumPy's arrays take during a run, in vectors of N numbers."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / (8 * N)
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def scipys() -> dict[str, float]:
    """Return SciPy's peaks, by method; without bounds, which take it more."""
    limits = {"TNC": {"maxfun": 40}, "L-BFGS-B": {"maxiter": 20}}
    return {
        method: peak(
            lambda: scipy.optimize.minimize(both, X0, jac=True, method=method, options=options)  # noqa: B023  # called at once
        )
        for method, options in limits.items()
    }


@pytest.mark.parametrize("bounds", [None, BOUNDS], ids=["free", "bounded"])
@pytest.mark.parametrize(
    ("method", "run"),
    [
        ("TNC", lambda b: minimize_tnc(both, X0, jac=True, bounds=b, maxfun=40)),
        ("TNC", lambda b: minimize_tnc(value, X0, jac=gradient, bounds=b, maxfun=40)),
        ("TNC", lambda b: fmin_tnc(both, X0, bounds=b, maxfun=40, messages=0)),
        ("TNC", lambda b: minimize_tnc(both, X0, jac=True, bounds=b, scale=2.0, maxfun=40)),
        ("L-BFGS-B", lambda b: minimize_lbfgsb(both, X0, jac=True, bounds=b, maxiter=20)),
        ("L-BFGS-B", lambda b: minimize_lbfgsb(value, X0, jac=gradient, bounds=b, maxiter=20)),
        ("L-BFGS-B", lambda b: fmin_l_bfgs_b(both, X0, bounds=b, maxiter=20)),
    ],
    ids=["tnc", "tnc jac", "fmin_tnc", "tnc scale", "lbfgsb", "lbfgsb jac", "fmin_l_bfgs_b"],
)
def test_a_large_run_takes_no_more_than_scipy_and_three_vectors(
    scipys: dict[str, float], method: str, run: Callable[[Any], Any], bounds: Any
) -> None:
    assert peak(lambda: run(bounds)) <= scipys[method] + 3 + OBJECTS
