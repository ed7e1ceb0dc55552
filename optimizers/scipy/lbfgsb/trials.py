"""A tiny problem that shows whether SciPy's compiled kernels behave as expected.

The kernels are not public. Each trial takes a new kernel of L-BFGS-B on the problem, and relies on
one more thing that is not documented.
"""

from typing import TYPE_CHECKING

import numpy as np
import scipy.optimize

from optimizers._types import Array
from optimizers.scipy.lbfgsb.public import TASKS

if TYPE_CHECKING:
    from optimizers.scipy.lbfgsb.kernel import LbfgsbKernel, Ray

_START = np.full(3, 0.9)
_BOX = (np.zeros(3), np.array([1.0, 1.0, np.inf]))
_END = np.array([1.0, 0.5, 0.0])

#: The problem's start and bounds.
PROBLEM = (_START, *_BOX)


def trial(x: Array) -> tuple[float, Array]:
    """Return a quadratic whose minimum in the unit box is (1, 0.5, 0)."""
    away = x - np.array([2.0, 0.5, -1.0])
    return float(away.dot(away)), 2 * away


def is_end(x: Array) -> bool:
    """Return whether ``x`` is the minimum in the box."""
    return np.allclose(x, _END, atol=1e-6)


def solves(kernel: "LbfgsbKernel") -> bool:
    """Try a run to its end, and the pairs that it leaves."""
    kernel.run(trial, 20, lambda kernel: None)
    end, (sk, yk) = kernel.end(), kernel.pairs()
    secant = scipy.optimize.LbfgsInvHessProduct(sk, yk).matvec(yk[-1])
    return bool(end.status == 0 and is_end(end.x) and np.allclose(secant, sk[-1], rtol=1e-10))


def takes_steps(kernel: "LbfgsbKernel") -> bool:
    """Try steps that the kernel's own search would go on from, in the box."""
    as_told: list[bool] = []

    def search(kernel: "LbfgsbKernel") -> None:
        ray = kernel.ray()
        value, gradient = trial(ray.start)
        step = ray.first * (0.01 if kernel.iterations == 0 else 1.0)
        x = np.clip(ray.point(step), *_BOX)
        as_told.extend(
            (
                np.allclose(ray.point(ray.first), kernel.x, rtol=0, atol=1e-12),
                ray.value == value,
                bool(np.isclose(ray.slope, gradient @ ray.direction, rtol=1e-12, atol=0)),
                ray.first <= ray.longest,
            )
        )
        steps.append((step, x))
        kernel.accept(step, x, *trial(x))

    def iteration(kernel: "LbfgsbKernel") -> None:
        as_told.append(np.array_equal(kernel.x, steps[-1][1]) and len(steps) == kernel.iterations)

    steps: list[tuple[float, Array]] = []
    kernel.run(trial, 20, iteration, search=search)
    sk = kernel.pairs()[0]
    return bool(
        all(as_told)
        and len(steps) > 1
        and kernel.end().status == 0
        and is_end(kernel.x)
        and np.allclose(sk[-1], steps[-1][1] - steps[-2][1], atol=1e-12)
    )


def takes_no_step(kernel: "LbfgsbKernel") -> bool:
    """Try a line search that is given up: the kernel ends where it was, in its own words."""
    kernel.run(trial, 20, lambda kernel: None, search=lambda kernel: kernel.give_up())
    return bool(
        kernel.end().message.startswith(TASKS[8])
        and np.array_equal(kernel.x, _START)
        and np.array_equal(kernel.g, trial(_START)[1])
    )


def steps_back(kernel: "LbfgsbKernel") -> bool:
    """Try a value that is too high: the next step leads to the minimum of the parabola."""
    rays: list[Ray] = []

    def search(kernel: "LbfgsbKernel") -> None:
        rays.append(kernel.ray())
        value, gradient = trial(kernel.x)
        if len(rays) == 1 and kernel.decrease_limit < rays[0].value and kernel.counters[43] == 1:
            kernel.step_back(rays[0].value + 1.0)
        else:
            kernel.f[...], kernel.g[...] = value, gradient

    kernel.run(trial, 1, lambda kernel: None, search=search)
    first, slope = rays[0].first, rays[0].slope
    wanted = -slope * first**2 / (2.0 * (1.0 - slope * first))
    return bool(np.isclose(rays[1].first, wanted, rtol=1e-10, atol=0))
