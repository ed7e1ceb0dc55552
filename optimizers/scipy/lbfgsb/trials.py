"""Trials of L-BFGS-B's kernel: each takes a new one, and relies on one more undocumented thing."""

import numpy as np
import scipy.optimize

from optimizers._types import Array
from optimizers.scipy.lbfgsb.kernel import LbfgsbKernel, Ray
from optimizers.scipy.lbfgsb.public import TASKS
from optimizers.scipy.trial import BOX, START, is_end, trial


def solves(kernel: LbfgsbKernel) -> bool:
    """Try a run to its end, and the pairs that it leaves."""
    kernel.run(trial, 20, lambda kernel: None)
    end, (sk, yk) = kernel.end(), kernel.pairs()
    secant = scipy.optimize.LbfgsInvHessProduct(sk, yk).matvec(yk[-1])
    return bool(end.status == 0 and is_end(end.x) and np.allclose(secant, sk[-1], rtol=1e-10))


def takes_steps(kernel: LbfgsbKernel) -> bool:
    """Try steps that the kernel's own search would go on from, in the box."""
    as_told: list[bool] = []

    def search(kernel: LbfgsbKernel) -> None:
        ray = kernel.ray()
        value, gradient = trial(ray.start)
        step = ray.first * (0.01 if kernel.iterations == 0 else 1.0)
        x = np.clip(ray.point(step), *BOX)
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

    def iteration(kernel: LbfgsbKernel) -> None:
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


def takes_no_step(kernel: LbfgsbKernel) -> bool:
    """Try a line search that is given up: the kernel ends where it was, in its own words."""
    kernel.run(trial, 20, lambda kernel: None, search=lambda kernel: kernel.give_up())
    return bool(
        kernel.end().message.startswith(TASKS[8])
        and np.array_equal(kernel.x, START)
        and np.array_equal(kernel.g, trial(START)[1])
    )


def steps_back(kernel: LbfgsbKernel) -> bool:
    """Try a value that is too high: the next step leads to the minimum of the parabola."""
    rays: list[Ray] = []

    def search(kernel: LbfgsbKernel) -> None:
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
