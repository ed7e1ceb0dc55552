"""The conformance suite: what every Optimizer keeps, as checks that any subclass can be given.

A plug-in's test is three lines::

    @pytest.mark.parametrize("check", optimizers.testing.CHECKS, ids=lambda check: check.__name__)
    def test_conformance(check):
        check(MyOptimizer)

The check of bounds draws random boxes and needs the extra ``test`` (hypothesis).
"""

import asyncio
import copy
import json
import math
import tempfile
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.asktell import TellData
from optimizers.errors import (
    CapabilityError,
    MissingExtraError,
    NonFiniteValueError,
    OptimizerWarning,
    UnknownOptionError,
)
from optimizers.evaluation import vectorized
from optimizers.lockstep.starts import seeds_from
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult, StopReason
from optimizers.support import SupportLevel

#: Makes the optimizer under test from settings of a run: a class, or a function around one.
Factory = Callable[..., Optimizer]

START = (-0.8, 1.3, 0.4)
_TARGET = np.array([0.5, -0.25, 0.1])
_CURVATURE = np.array([2.0, 4.0, 6.0])


class Bowl:
    """A convex quadratic that records how it is called; its minimum is 1 at (0.5, -0.25, 0.1).

    Parameters
    ----------
    spoil : bool, default False
        Whether it overwrites its argument after use.
    fail_at : int, optional
        The number of the call, from 1, that fails.
    failure : exception or float, default NaN
        What that call raises or returns.

    Examples
    --------
    >>> bowl = Bowl()
    >>> bowl(np.array([0.5, -0.25, 0.1])), len(bowl.points)
    (1.0, 1)
    """

    def __init__(
        self,
        spoil: bool = False,
        fail_at: int | None = None,
        failure: BaseException | float = math.nan,
    ) -> None:
        self.points: list[Array] = []
        self.gradients = 0
        self._spoil = spoil
        self._fail_at = fail_at
        self._failure = failure

    def __call__(self, x: Array) -> float:
        """Return the value at ``x``, shape (3,)."""
        self.points.append(x.copy())
        value = self.exact(x)
        if self._spoil:
            x[:] = np.nan
        if len(self.points) != self._fail_at:
            return value
        if isinstance(self._failure, BaseException):
            raise self._failure
        return self._failure

    @staticmethod
    def exact(x: Array) -> float:
        """Return the value without recording the call."""
        return float(np.sum(_CURVATURE * (x - _TARGET) ** 2)) / 2 + 1.0

    def jac(self, x: Array) -> Array:
        """Return the gradient at ``x``."""
        self.gradients += 1
        gradient: Array = _CURVATURE * (x - _TARGET)
        if self._spoil:
            x[:] = np.nan
        return gradient

    @staticmethod
    def hess(x: Array) -> Array:
        """Return the Hessian, which is constant."""
        return np.diag(_CURVATURE)


def run(
    optimizer: Optimizer, fun: Callable[..., Any], jac: Any = None, **settings: Any
) -> OptimizerResult:
    """Minimise a bowl in any form, with what the optimizer requires, from a fixed seed."""
    levels = optimizer.get_support_level()
    if levels.get("gradient") == SupportLevel.required and jac is None:
        jac = fun.jac if isinstance(fun, Bowl) else Bowl().jac
    if levels.get("hessian") == SupportLevel.required:
        settings["hess"] = Bowl.hess
    return optimizer.minimize(fun, list(START), jac, seed=7, **settings)


def check_support_levels(make: Factory) -> None:
    """Check that the levels are declared, and that the properties say the same."""
    optimizer = make()
    levels = optimizer.get_support_level()
    for what in ("gradient", "bounds", "initial_point"):
        level = levels[what]
        assert isinstance(level, SupportLevel)
        assert getattr(optimizer, f"{what}_support_level") == level
        assert getattr(optimizer, f"is_{what}_ignored") == (level == SupportLevel.ignored)
        assert getattr(optimizer, f"is_{what}_required") == (level == SupportLevel.required)
        supported = level != SupportLevel.not_supported
        assert getattr(optimizer, f"is_{what}_supported") == supported


def check_counts(make: Factory) -> None:
    """Check that ``nfev`` counts the points evaluated and ``njev`` the gradients, exactly."""
    optimizer = make()
    for use_jac in (False, True):
        bowl = Bowl()
        given = bowl.jac if use_jac and _takes(optimizer, "gradient") else None
        result = run(optimizer, bowl, given)
        assert result.nfev == len(bowl.points)
        assert result.njev == bowl.gradients


def check_value_belongs_to_point(make: Factory) -> None:
    """Check that ``fun`` is the value at ``x`` and ``best`` the best point, however it ends."""
    for settings in ({}, {"maxfun": 9}, {"callback": lambda xk: True}):
        bowl = Bowl()
        result = run(make(), bowl, **settings)
        assert result.fun == Bowl.exact(result.x)
        assert result.best is not None
        assert result.best.fun == Bowl.exact(result.best.x) == min(map(Bowl.exact, bowl.points))
        if not result.success:
            assert result.stop.sentence
        json.dumps(result.to_dict())


def check_budget(make: Factory) -> None:
    """Check that with ``maxfun=N`` no more than N points are evaluated, in groups or not."""
    for maxfun in (1, 2, 5, 9, 14):
        for group in (1, 3):
            optimizer = make()
            optimizer.set_max_evals_grouped(group)
            bowl = Bowl()

            def fun(flat: Array, bowl: Bowl = bowl) -> list[float]:
                return [bowl(point) for point in flat.reshape(-1, len(START))]

            result = run(optimizer, fun, maxfun=maxfun)
            assert len(bowl.points) == result.nfev <= maxfun
            if not result.success:
                assert result.stop == StopReason.MAXFUN
                assert result.best is not None
                assert result.fun == result.best.fun


def check_bounds(make: Factory) -> None:
    """Check that no point outside the bounds is ever evaluated, for random boxes."""
    if not _takes(make(), "bounds"):
        return
    try:
        import hypothesis
        from hypothesis import strategies
    except ImportError as error:
        raise MissingExtraError(
            "This check needs hypothesis: pip install 'variational-optimizers[test]'."
        ) from error
    side = strategies.one_of(strategies.none(), strategies.floats(-2, 2))

    def ordered(pair: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
        low, high = pair
        return (high, low) if low is not None and high is not None and low > high else pair

    pairs = strategies.tuples(side, side).map(ordered)

    @hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
    @hypothesis.given(strategies.lists(pairs, min_size=3, max_size=3), strategies.booleans())
    def inside(bounds: list[Any], use_jac: bool) -> None:
        optimizer = make()
        bowl = Bowl()
        given = bowl.jac if use_jac and _takes(optimizer, "gradient") else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizerWarning)  # the start is clipped
            result = run(optimizer, bowl, given, bounds=bounds, maxfun=60)
        low = np.array([-np.inf if pair[0] is None else pair[0] for pair in bounds])
        high = np.array([np.inf if pair[1] is None else pair[1] for pair in bounds])
        for point in [*bowl.points, result.x]:
            assert np.all(low <= point), (point, low)
            assert np.all(point <= high), (point, high)
        assert result.fun == Bowl.exact(result.x)

    inside()


def check_nothing_shared(make: Factory) -> None:
    """Check that no argument is changed, also when the objective overwrites its own."""
    optimizer = make()
    x0, bounds = np.array(START), [(-2.0, 2.0)] * 3
    x0_before, bounds_before = x0.copy(), copy.deepcopy(bounds)
    settings_before = copy.deepcopy(optimizer.settings)
    quiet, spoiling = Bowl(), Bowl(spoil=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizerWarning)  # bounds may be ignored
        expected = run(optimizer, quiet, bounds=bounds)
        result = run(optimizer, spoiling, bounds=bounds)
    assert np.array_equal(x0, x0_before)
    assert bounds == bounds_before
    assert optimizer.settings == settings_before
    assert np.array_equal(result.x, expected.x)
    assert result.nfev == expected.nfev


def check_repeatable(make: Factory) -> None:
    """Check that a second run of one object repeats the first to the last bit."""
    optimizer = make()
    first, second = Bowl(), Bowl()
    run(optimizer, first)
    run(optimizer, second)
    assert np.array_equal(first.points, second.points)


def check_threads(make: Factory) -> None:
    """Check that one object in eight threads at once gives eight right results."""
    optimizer = make()
    expected = run(optimizer, Bowl())
    results: list[OptimizerResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(run(optimizer, Bowl()))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        assert np.array_equal(result.x, expected.x)
        assert result.nfev == expected.nfev


def check_failure(make: Factory) -> None:
    """Check that an exception comes out as itself, and leaves the optimizer as it was."""
    optimizer = make()
    expected = run(optimizer, Bowl())
    for failure, stop in (
        (ZeroDivisionError("broken"), StopReason.FAILED),
        (KeyboardInterrupt(), StopReason.INTERRUPTED),
    ):
        bowl = Bowl(fail_at=2, failure=failure)
        error: Any = _raised(type(failure), partial(run, optimizer, bowl))
        result = error.optimizer_result
        assert any("optimizer_result" in note for note in error.__notes__)
        assert error is failure
        assert result.nfev == 2
        assert result.stop == stop
        assert result.fun == Bowl.exact(bowl.points[0])
    assert np.array_equal(run(optimizer, Bowl()).x, expected.x)


def check_non_finite(make: Factory) -> None:
    """Check that NaN raises a named error, and that rejecting it lets the run go on."""
    error = _raised(NonFiniteValueError, lambda: run(make(), Bowl(fail_at=2)))
    assert error.optimizer_result.nfev == 2
    clean = run(make(), Bowl())
    assert clean.fun is not None
    margin = 1e-2 * (Bowl.exact(np.array(START)) - clean.fun)
    for fail_at in range(8, 32, 4):  # behind the start and its probes, central ones included
        bowl = Bowl(fail_at=fail_at)
        result = run(make(), bowl, on_failure="reject")
        # None if it was a probe of a difference, which another makes up for.
        assert result.nrejected <= int(len(bowl.points) >= fail_at)
        assert result.fun == Bowl.exact(result.x)
        if result.success:  # a wrong answer is never called right
            assert result.fun <= clean.fun + margin


def check_callback(make: Factory) -> None:
    """Check that a callback is called once an iteration, and can end the run."""
    iterates: list[Array] = []
    states: list[OptimizerResult] = []

    def by_name(intermediate_result: OptimizerResult) -> None:
        states.append(intermediate_result)

    result = run(make(), Bowl(), callback=iterates.append)
    assert len(iterates) == result.nit > 0
    run(make(), Bowl(), callback=by_name)
    assert [state.nit for state in states] == list(range(1, result.nit + 1))
    for iterate, state in zip(iterates, states, strict=True):
        assert np.array_equal(iterate, state.x)
        assert state.fun in (None, Bowl.exact(state.x))

    def stop(xk: Array) -> None:
        raise StopIteration

    for callback in (stop, lambda xk: True):
        stopped = run(make(), Bowl(), callback=callback)
        assert stopped.stop == StopReason.CALLBACK
        assert not stopped.success
        assert stopped.nit == 1


def check_timeout(make: Factory) -> None:
    """Check that no evaluation starts after ``timeout``, and that the result says so."""
    result = run(make(), Bowl(), timeout=1e-9)
    assert result.stop == StopReason.TIMEOUT
    assert not result.success
    assert result.nfev == 0


def check_settings_round_trip(make: Factory) -> None:
    """Check that the settings rebuild an equal, independent object, also through JSON.

    Settings that JSON has no form for, such as a function that the algorithm cannot do without, go
    through Python alone.
    """
    optimizer = make(maxfun=500, timeout=60.0, on_failure="reject")
    cls, forms = type(optimizer), [optimizer.settings]
    if not any(map(callable, optimizer.settings.values())):
        forms.append(json.loads(json.dumps(optimizer.settings)))
    for settings in forms:
        twin = cls(**settings)
        assert twin == optimizer
        twin.set_max_evals_grouped(5)
        assert twin != optimizer
    assert cls.__name__ in optimizer.setting


def check_unknown_setting(make: Factory) -> None:
    """Check that a setting that does not exist is an error that names the nearest one."""
    for attempt in (
        lambda: make(timeuot=3.0),
        lambda: run(make(), Bowl(), timeuot=3.0),
        lambda: make().set_options(no_such_option=1),
    ):
        error = _raised(UnknownOptionError, attempt)
        assert "timeout" in str(error) or "no_such_option" in str(error)


def check_nothing_in_silence(make: Factory) -> None:
    """Check that what is ignored gives one warning, and what is missing an error at once."""
    optimizer = make()
    levels = optimizer.get_support_level()
    given: dict[str, Any] = {"gradient": ("jac", Bowl().jac), "bounds": ("bounds", [(-3, 3)] * 3)}
    for what, (name, value) in given.items():
        if levels[what] == SupportLevel.ignored:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                run(optimizer, Bowl(), **{name: value})
            assert [w.category for w in caught] == [OptimizerWarning]
        if levels[what] == SupportLevel.required:
            bowl = Bowl()
            error = _raised(CapabilityError, partial(optimizer.minimize, bowl, list(START)))
            assert name in str(error)
            assert not bowl.points


def check_groups(make: Factory) -> None:
    """Check that groups and stacks of points give the serial result to the last bit."""
    serial = run(make(), Bowl())
    stacked = Bowl()

    @vectorized
    def stack(points: Array) -> Array:
        assert points.ndim == 2
        return np.array([stacked(point) for point in points])

    def flat(points: Array) -> Any:
        return [Bowl.exact(point) for point in points.reshape(-1, len(START))]

    grouped = make()
    grouped.set_max_evals_grouped(2)
    for optimizer, fun in ((make(), stack), (grouped, flat)):
        result = run(optimizer, fun)
        # Some methods take more points in fewer calls where a call takes several.
        assert np.array_equal(result.x, serial.x)


def check_workers(make: Factory) -> None:
    """Check that threads, and coroutines, give the serial result to the last bit."""
    serial = run(make(), Bowl())
    bowl = Bowl()
    with ThreadPoolExecutor(2 * len(START) + 1) as pool:
        result = run(make(), bowl, workers=pool)
        assert np.array_equal(result.x, serial.x)
        assert result.nfev == len(bowl.points)
        error = _raised(NonFiniteValueError, lambda: run(make(), Bowl(fail_at=3), workers=pool))
        assert error.optimizer_result.stop is StopReason.FAILED
        assert pool.submit(abs, -1).result() == 1  # it is the caller's, and still works

    async def awaited(x: Array) -> float:
        await asyncio.sleep(0)
        return Bowl.exact(x)

    async def gradient(x: Array) -> Array:
        return Bowl().jac(x)

    optimizer = make()
    levels = optimizer.get_support_level()
    given: dict[str, Any] = {"seed": 7}
    if levels.get("hessian") == SupportLevel.required:
        given["hess"] = Bowl.hess  # which is not awaited
    jac = gradient if optimizer.is_gradient_required else None
    result = asyncio.run(optimizer.minimize_async(awaited, list(START), jac, **given))
    assert np.array_equal(result.x, serial.x)


def check_stepper(make: Factory) -> None:
    """Check that a loop of ask and tell gives the result of ``minimize`` to the last bit."""
    optimizer = make()
    levels = optimizer.get_support_level()
    jac: Any = True if levels.get("gradient") == SupportLevel.required else None
    needed: dict[str, Any] = {"hess": Bowl.hess} if _requires_hessian(optimizer) else {}
    stack = vectorized(lambda points: np.array([Bowl.exact(point) for point in points]))
    given = Bowl().jac if jac else None
    alone = optimizer.minimize(stack, list(START), given, seed=7, **needed)
    with optimizer.stepper(list(START), jac, seed=7, **needed) as stepper:
        for ask in stepper:
            gradients = None if ask.x_jac is None else [Bowl().jac(x) for x in ask.x_jac]
            points = ask.x_fun if ask.x_fun is not None else ()
            stepper.tell(ask, TellData([Bowl.exact(x) for x in points], gradients))
        result = stepper.result()
    assert np.array_equal(result.x, alone.x)
    assert (result.fun, result.success, result.stop) == (alone.fun, alone.success, alone.stop)


def check_lockstep(make: Factory) -> None:
    """Check that runs in lock-step give the results of each alone to the last bit."""
    optimizer = make()
    levels = optimizer.get_support_level()
    jac = Bowl().jac if levels.get("gradient") == SupportLevel.required else None
    needed: dict[str, Any] = {"hess": Bowl.hess} if _requires_hessian(optimizer) else {}
    starts = np.array([START, (0.9, -1.1, 0.2), (0.0, 0.0, 0.0)])
    stack = vectorized(lambda points: np.array([Bowl.exact(point) for point in points]))
    for fun in (Bowl.exact, stack):
        together = optimizer.minimize_many(fun, starts, jac, maxfun=200, seed=7, **needed)
        for start, seed, result in zip(starts, seeds_from(7), together, strict=False):
            alone = optimizer.minimize(fun, start, jac, maxfun=200, seed=seed, **needed)
            assert np.array_equal(result.x, alone.x)
            for name in ("fun", "nfev", "njev", "nit", "success", "message", "stop"):
                assert result[name] == alone[name], name


def check_journal(make: Factory) -> None:
    """Check that a run goes on from its journal: nothing is evaluated twice, nothing differs."""
    whole = Bowl()
    expected = run(make(), whole)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        run(make(), Bowl(), journal=path)
        lines = path.read_text().splitlines(keepends=True)
        for kept in (1, 2, len(lines) // 2, len(lines)):  # the header is the first
            path.write_text("".join(lines[:kept]))
            bowl = Bowl()
            result = run(make(), bowl, journal=path)
            assert np.array_equal(result.x, expected.x)
            assert result.nfev == expected.nfev
            rest = whole.points[len(whole.points) - len(bowl.points) :]
            assert np.array_equal(bowl.points, rest)
        assert not bowl.points


def _raised(kind: type[BaseException], attempt: Callable[[], Any]) -> Any:
    """Return the exception of a kind that an attempt raises; anything else is a failure."""
    try:
        attempt()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, and nothing was raised")


def _requires_hessian(optimizer: Optimizer) -> bool:
    return optimizer.get_support_level().get("hessian") == SupportLevel.required


def _takes(optimizer: Optimizer, what: str) -> bool:
    level = optimizer.get_support_level().get(what, SupportLevel.not_supported)
    return level >= SupportLevel.supported


#: Every check, in the order of :func:`check_optimizer`.
CHECKS: tuple[Callable[[Factory], None], ...] = (
    check_support_levels,
    check_counts,
    check_value_belongs_to_point,
    check_budget,
    check_bounds,
    check_nothing_shared,
    check_repeatable,
    check_threads,
    check_failure,
    check_non_finite,
    check_callback,
    check_timeout,
    check_settings_round_trip,
    check_unknown_setting,
    check_nothing_in_silence,
    check_groups,
    check_workers,
    check_stepper,
    check_lockstep,
    check_journal,
)


def check_optimizer(make: Factory) -> None:
    """Run every check.

    Parameters
    ----------
    make : type or callable
        The Optimizer subclass, or ``make(**settings)`` that passes settings of a run on to it.

    Raises
    ------
    AssertionError
        If a contract is broken.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> check_optimizer(LBFGSB)
    """
    for check in CHECKS:
        check(make)
