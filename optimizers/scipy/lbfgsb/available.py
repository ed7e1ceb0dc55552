"""What the L-BFGS-B kernel of this SciPy supports, by trials; and the form that works."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize

from optimizers._types import Array
from optimizers.scipy.lbfgsb.kernel import LbfgsbKernel, Ray
from optimizers.scipy.lbfgsb.public import TASKS, PublicLbfgsb
from optimizers.scipy.options import LbfgsbOptions
from optimizers.scipy.trial import BOX, PROBLEM, START, is_end, trial


def lbfgsb(
    x0: Array, lower: Array | None, upper: Array | None, options: LbfgsbOptions
) -> LbfgsbKernel | PublicLbfgsb:
    """Return the fastest form of L-BFGS-B that works with this SciPy; see :class:`LbfgsbKernel`."""
    integer = lbfgsb_integer()
    if integer is None:
        return PublicLbfgsb(x0, lower, upper, options)
    return LbfgsbKernel(x0, lower, upper, options, integer)


@functools.cache
def lbfgsb_integer() -> type[np.signedinteger[Any]] | None:
    """Return the kernel's integer type, which SciPy 1.18 changes; None if it cannot be used."""
    for integer in (np.int32, np.int64):
        if _passes(solves, integer):
            return integer
    return None


@functools.cache
def line_search_is_replaceable() -> bool:
    """Return whether the L-BFGS-B kernel accepts the steps of another line search."""
    return _passes(takes_steps, lbfgsb_integer()) and _passes(takes_no_step, lbfgsb_integer())


@functools.cache
def steps_back_by_value() -> bool:
    """Return whether the L-BFGS-B kernel steps back as expected where it has no gradient."""
    return _passes(steps_back, lbfgsb_integer())


@functools.cache
def learns() -> bool:
    """Return whether the L-BFGS-B kernel takes pairs of steps and gradient changes as its own."""
    return _passes(takes_pairs, lbfgsb_integer())


def _passes(
    trial: Callable[[LbfgsbKernel], bool], integer: type[np.signedinteger[Any]] | None
) -> bool:
    if integer is None:
        return False
    options = LbfgsbOptions(maxcor=2, ftol=1e-12, gtol=1e-8)
    kernel = LbfgsbKernel(*PROBLEM, options, integer)
    try:
        return trial(kernel)
    except Exception:  # a changed private interface may raise anything
        return False


def solves(kernel: LbfgsbKernel) -> bool:
    """Try a complete run, and its final pairs."""
    kernel.run(trial, 20, lambda kernel: None)
    end, (sk, yk) = kernel.end(), kernel.pairs()
    secant = scipy.optimize.LbfgsInvHessProduct(sk, yk).matvec(yk[-1])
    return bool(end.status == 0 and is_end(end.x) and np.allclose(secant, sk[-1], rtol=1e-10))


def takes_pairs(kernel: LbfgsbKernel) -> bool:
    """Try a pair before the first iteration: it is kept, and the run ends at the minimum."""
    value, gradient = trial(START)
    n, step, held = START.size, np.full(START.size, 0.125), list[bool]()
    change = gradient - trial(START - step)[1]

    def iteration(kernel: LbfgsbKernel) -> None:
        if not held:
            pair = kernel.workspace[:n], kernel.workspace[kernel.m * n :][:n]
            held.append(np.allclose(pair, (step, change), rtol=1e-12, atol=0))

    is_taught = kernel.learn(value, gradient, [(step, change)])
    kernel.run(trial, 20, iteration)
    return is_taught and held == [True] and kernel.end().status == 0 and is_end(kernel.x)


def takes_steps(kernel: LbfgsbKernel) -> bool:
    """Try steps in the box where the kernel's own search would continue."""
    as_told: list[bool] = []

    def search(kernel: LbfgsbKernel) -> None:
        ray = kernel.ray()
        value, gradient = trial(ray.start)
        step = ray.first * (0.01 if kernel.iterations == 0 else 1.0)
        x = np.clip(ray.point(step), *BOX)
        as_told.extend([ray.value == value, ray.first <= ray.longest])
        as_told.append(np.allclose(ray.point(ray.first), kernel.x, rtol=0, atol=1e-12))
        as_told.append(np.allclose(ray.slope, gradient @ ray.direction, rtol=1e-12, atol=0))
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
    """Try a line search that is abandoned: the kernel ends where it was, with its own message."""
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
