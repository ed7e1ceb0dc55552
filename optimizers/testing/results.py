"""Checks of results: counts, the solution, and unchanged arguments, however a run ends."""

import copy
import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.errors import NonFiniteValueError, OptimizerWarning
from optimizers.evaluation import residuals
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult, StopReason
from optimizers.support import SupportLevel
from optimizers.testing.bowl import START, Bowl, ResidualBowl
from optimizers.testing.trial import (
    Factory,
    alike,
    bowl_for,
    need_run,
    raised,
    replaces_minimize,
    run,
    same,
    takes_setting,
)

_BELONGS = "fun is not the value at x: return a point together with its value."


def check_counts(make: Factory) -> None:
    """Check that ``nfev`` counts the points evaluated and ``njev`` the gradients, exactly."""
    kind = bowl_for(make())
    optimizer = make()
    for use_jac in (False, True):
        bowl = kind()
        result = run(optimizer, bowl, _gradient(optimizer, bowl, use_jac))
        _check_nfev(result, bowl)
        counted = f"njev is {result.njev}, but {bowl.gradients} gradients were evaluated"
        assert result.njev == bowl.gradients, f"{counted}: count each."


def check_value_belongs_to_point(make: Factory) -> None:
    """Check that ``fun`` is the value at ``x`` and ``best`` the best point, however it ends."""
    kind = bowl_for(make())
    for settings in ({}, {"maxfun": 9}, {"callback": lambda xk: True}):
        optimizer, bowl = make(), kind()
        if not all(takes_setting(optimizer, name) for name in settings):
            continue  # of a class that overrides minimize
        result = run(optimizer, bowl, **settings, **_without_noise(optimizer))
        assert result.fun == Bowl.exact(result.x), _BELONGS
        best = result.get("best")
        assert best is not None, "best is None, expected the best evaluated point and its value."
        lowest = min(map(Bowl.exact, bowl.points))
        assert best.fun == Bowl.exact(best.x) == lowest, "best is not the best evaluated point."
        assert isinstance(result.get("stop"), StopReason), "stop must be a StopReason."
        if not result.success:
            assert result.stop.sentence, "A run that is not a success must say why it ended."
        json.dumps(result.to_dict())


def check_budget(make: Factory) -> None:
    """Check that with ``maxfun=N`` no more than N points are evaluated, in groups or not."""
    kind = bowl_for(make())
    for maxfun in (1, 2, 5, 7, 14, 23):
        for group in (1, 3):
            optimizer = make()
            if group > 1 and replaces_minimize(optimizer):
                continue  # groups are what Optimizer.minimize brings
            optimizer.set_max_evals_grouped(group)
            bowl = kind()

            def grouped(flat: Array, bowl: Bowl = bowl) -> list[Any]:
                return [bowl(point) for point in flat.reshape(-1, len(START))]

            settings = {"maxfun": maxfun, **_without_noise(optimizer)}
            result = run(optimizer, bowl if group == 1 else grouped, **settings)
            _check_nfev(result, bowl)
            over = f"{result.nfev} points were evaluated with maxfun={maxfun}"
            assert result.nfev <= maxfun, f"{over}: let the run count, or do not accept maxfun."
            if not result.success:
                assert result.stop == StopReason.MAXFUN, f"stop is {result.stop} at maxfun."
                assert result.best is not None, "best is None, but points were evaluated."
                assert result.fun == result.best.fun, "A stopped run must end at its best point."


def check_residuals(make: Factory) -> None:
    """Check that half the sum of squared residuals is minimized, and that the result has them."""
    optimizer = make()
    need_run(optimizer, "an objective of residuals")
    if optimizer._level("residuals") == SupportLevel.not_supported:
        return
    for use_jac in (False, True):
        bowl = ResidualBowl()
        jac = bowl.jac if optimizer.is_gradient_required else _gradient(optimizer, bowl, use_jac)
        result = run(optimizer, residuals(bowl), jac)
        _check_nfev(result, bowl)
        assert result.fun == Bowl.exact(result.x), _BELONGS
        ask = "Ask the run, or yield questions: they are answered by values and gradients."
        same(result.residuals, bowl.told(result.x), f"The residuals are not those at x. {ask}")


def check_bounds(make: Factory) -> None:
    """Check that no point outside the bounds is ever evaluated, for random boxes."""
    kind = bowl_for(make())
    if make().bounds_support_level < SupportLevel.supported:
        return
    rng, share_open = np.random.default_rng(7), 0.0 if make().is_bounds_required else 0.3
    for number in range(25):
        # With one decimal, like the start, so that some sides pass through it.
        low, high = np.sort(rng.uniform(-2, 2, (2, 3)).round(1), axis=0)
        low = np.where(rng.random(3) < share_open, -np.inf, low)
        high = np.where(rng.random(3) < share_open, np.inf, high)
        is_fixed = np.isfinite(low) & (rng.random(3) < 0.1)
        high = np.where(is_fixed, low, high)
        bounds = list(zip(low.tolist(), high.tolist(), strict=True))
        optimizer, bowl = make(), kind()
        budget = {} if replaces_minimize(optimizer) else {"maxfun": 60}
        budget |= _without_noise(optimizer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizerWarning)  # the start is clipped
            gradient = _gradient(optimizer, bowl, number % 2 == 1)
            result = run(optimizer, bowl, gradient, bounds=bounds, **budget)
        for point in [*bowl.points, result.x]:
            is_inside = np.all((low <= point) & (point <= high))
            clip = "clip points (problem.clip), or declare that bounds are not supported."
            assert is_inside, f"{point} is outside of {bounds}: {clip}"
        assert result.fun == Bowl.exact(result.x), _BELONGS


def check_nothing_shared(make: Factory) -> None:
    """Check that no argument is changed, also when the objective overwrites its own."""
    kind = bowl_for(make())
    optimizer = make()
    given: dict[str, Any] = {"x0": np.array(START)}
    if optimizer.is_bounds_supported:
        given["bounds"] = [(-2.0, 2.0)] * 3
    before, settings_before = copy.deepcopy(given), copy.deepcopy(optimizer.settings)
    quiet, spoiling = kind(), kind(spoil=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizerWarning)  # bounds may be ignored
        expected = run(optimizer, quiet, **given)
        result = run(optimizer, spoiling, **given)
    for name in given:
        same(given[name], before[name], f"{name} was changed: work on a copy.")
    kept = optimizer.settings == settings_before
    assert kept, "A run changed the settings: store no state of a run in self."
    hand_copies = "Pass copies of points to the objective: it may overwrite its argument."
    alike(result, expected, ("x", "nfev"), hand_copies)


def check_repeatable(make: Factory) -> None:
    """Check that a second run of one object repeats the first to the last bit."""
    kind = bowl_for(make())
    optimizer = make()
    first, second = kind(), kind()
    run(optimizer, first)
    run(optimizer, second)
    differ = (
        "Two runs with one seed differ: draw from run.rng, and store no state of a run in self."
    )
    same(first.points, second.points, differ)


def check_threads(make: Factory) -> None:
    """Check that one object in eight threads at once gives eight correct results."""
    kind = bowl_for(make())
    optimizer = make()
    expected = run(optimizer, kind())
    keep_apart = "Simultaneous runs disturb each other: store no state of a run in self."
    barrier = threading.Barrier(8)

    def together() -> OptimizerResult:
        barrier.wait()
        return run(optimizer, kind())

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(together) for _ in range(8)]:
            assert future.exception() is None, keep_apart
            alike(future.result(), expected, ("x", "nfev"), keep_apart)


def check_failure(make: Factory) -> None:
    """Check that an exception is raised unchanged, and does not change the optimizer."""
    kind = bowl_for(make())
    optimizer = make()
    expected = run(optimizer, kind())
    for failure, stop in (
        (ZeroDivisionError("broken"), StopReason.FAILED),
        (KeyboardInterrupt(), StopReason.INTERRUPTED),
    ):
        bowl = kind(fail_at=2, failure=failure)
        let_out = "do not catch the objective's exceptions; use run.guard(fun) if a library does"
        error: Any = raised(type(failure), partial(run, optimizer, bowl), let_out)
        is_itself = error is failure
        assert is_itself, f"A different {type(failure).__name__} was raised: {let_out}."
        assert len(bowl.points) == 2, f"Points were evaluated after a failure: {let_out}."
        if replaces_minimize(optimizer):
            continue  # the result so far is what a Run adds
        result = error.optimizer_result
        assert any("optimizer_result" in note for note in error.__notes__), "No note was added."
        assert result.nfev == 2, "nfev must count the failed point."
        assert result.stop == stop, f"stop is {result.stop}, expected {stop}."
        assert result.fun == Bowl.exact(bowl.points[0]), _BELONGS
    after = "This happens after a failed run: store no state of a run in self."
    alike(run(optimizer, kind()), expected, ("x",), after)


def check_non_finite(make: Factory) -> None:
    """Check that NaN raises a named error, and that the run continues if NaN is rejected."""
    kind = bowl_for(make())
    need_run(make(), "what happens to NaN, by on_failure,")
    went_on = "the objective returned NaN, but the run continued."
    error = raised(NonFiniteValueError, lambda: run(make(), kind(fail_at=2)), went_on)
    assert error.optimizer_result.nfev == 2, "Points were evaluated after NaN."
    clean = run(make(), kind())
    assert clean.fun is not None, "fun is None, but no evaluation failed."
    margin = 1e-2 * (Bowl.exact(np.array(START)) - clean.fun)
    for fail_at in range(8, 32, 4):  # after the start and its probes, including central ones
        bowl = kind(fail_at=fail_at)
        result = run(make(), bowl, on_failure="reject")
        # Zero if it was a probe of a difference, which another one replaces.
        assert result.nrejected <= int(len(bowl.points) >= fail_at), "More than NaN was rejected."
        assert result.fun == Bowl.exact(result.x), _BELONGS
        if result.success:
            penalty = "its value is a penalty; told.known says which rows have real values."
            wrong = f"A wrong result is a success after point {fail_at} was rejected: {penalty}"
            assert result.fun <= clean.fun + margin, wrong


def check_callback(make: Factory) -> None:
    """Check that a callback is called once per iteration, and can end the run."""
    kind = bowl_for(make())
    iterates: list[Array] = []
    states: list[OptimizerResult] = []
    result = run(make(), kind(), callback=iterates.append)
    called = f"The callback was called {len(iterates)} times in {result.nit} iterations"
    at_each = "yield Step, or call run.iteration, at the end of each."
    assert len(iterates) == result.nit > 0, f"{called}: {at_each}"
    run(make(), kind(), callback=lambda intermediate_result: states.append(intermediate_result))
    numbers = [state.nit for state in states]
    assert numbers == list(range(1, result.nit + 1)), "nit must count iterations from 1, each once."
    for iterate, state in zip(iterates, states, strict=True):
        same(iterate, state.x, "Callbacks of two forms saw different iterates.")
        if not state.is_estimate:  # not evaluated
            assert state.fun in (None, Bowl.exact(state.x)), _BELONGS

    def stop(xk: Array) -> None:
        raise StopIteration

    let_out = "do not catch the exception that ends a run; use run.guard if a library swallows it"
    for callback in (stop, lambda xk: True):
        stopped = run(make(), kind(), callback=callback)
        assert stopped.stop == StopReason.CALLBACK, f"stop is {stopped.stop}: {let_out}."
        assert not stopped.success, f"A run that a callback ended is not a success: {let_out}."
        assert stopped.nit == 1, f"It continued after the callback ended it: {let_out}."


def check_timeout(make: Factory) -> None:
    """Check that no evaluation starts after ``timeout``, and that the result says so."""
    kind = bowl_for(make())
    result = run(make(), kind(), timeout=1e-9)
    assert result.stop == StopReason.TIMEOUT, f"stop is {result.stop} after the timeout."
    assert not result.success, "A run that has timed out is not a success."
    assert result.nfev == 0, "An evaluation started after the timeout: let the run call."


def _check_nfev(result: OptimizerResult, bowl: Bowl) -> None:
    counted = f"nfev is {result.nfev}, but {len(bowl.points)} points were evaluated"
    assert result.nfev == len(bowl.points), f"{counted}: count each."


def _without_noise(optimizer: Optimizer) -> dict[str, Any]:
    """Return the setting by which any algorithm that is stopped ends at its best point."""
    return {"noise": 0} if optimizer.ends_on_iterate else {}


def _gradient(optimizer: Optimizer, bowl: Bowl, is_wanted: bool) -> Any:
    """Return the gradient of a bowl if it is wanted and the optimizer can use it."""
    is_used = optimizer.gradient_support_level >= SupportLevel.supported
    return bowl.jac if is_wanted and is_used else None
