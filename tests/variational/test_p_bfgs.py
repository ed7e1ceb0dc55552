"""P_BFGS: runs of L-BFGS-B in one wave; each is that of LBFGSB alone."""

import inspect
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import rosen, rosen_der

from optimizers import (
    LBFGSB,
    P_BFGS,
    CapabilityError,
    OptimizerResult,
    OptionError,
    StopReason,
    TellData,
    UnknownOptionError,
    load,
    vectorized,
)
from tests.making import shown

START = [-0.8, 1.3, 0.4]
COMPARED = ("fun", "nit", "njev", "success", "message", "stop")


def wells(x):
    """Have two minima in each variable, the lower one near -1."""
    return float(np.sum((x**2 - 1) ** 2 + 0.1 * x))


def wells_jac(x):
    return 4 * x * (x**2 - 1) + 0.1


def stacked(fun, waves=None):
    @vectorized
    def stack(points):
        if waves is not None:
            waves.append(points.copy())
        return np.array([fun(point) for point in points])

    return stack


def starts_of(optimizer, x0=START, bounds=None, **settings):
    """Return where the runs of an optimizer start."""
    waves = []

    @vectorized
    def recording(points):
        waves.append(points.copy())
        return np.array([rosen(point) for point in points])

    optimizer.minimize(recording, x0, lambda x: rosen_der(x), bounds, **settings)
    return waves[0]


@pytest.mark.parametrize("jac", [None, "3-point", "cs", True, rosen_der], ids=shown)
@pytest.mark.parametrize("is_stacked", [False, True])
def test_each_run_is_that_of_its_start_alone(jac, is_stacked):
    fun = (lambda x: (rosen(x), rosen_der(x))) if jac is True else rosen
    if is_stacked and jac is True:

        @vectorized
        def fun(points):
            return np.array([rosen(x) for x in points]), np.array([rosen_der(x) for x in points])

    elif is_stacked:
        fun = stacked(rosen)
    optimizer = P_BFGS(10_000, seed=3)
    result = optimizer.minimize(fun, START, jac)
    starts = starts_of(optimizer)
    assert len(result.results) == len(starts) == 4
    for number, (start, run) in enumerate(zip(starts, result.results, strict=True)):
        alone = LBFGSB().minimize(fun, start, jac)
        assert np.array_equal(run.x, alone.x)
        assert [run[name] for name in COMPARED] == [alone[name] for name in COMPARED]
        assert (run.run, run.nfev) == (number, alone.nfev)
    best = min(result.results, key=lambda run: run.fun)
    assert np.array_equal(result.x, best.x)
    assert (result.run, result.message, result.stop) == (best.run, best.message, best.stop)
    assert np.array_equal(result.hess_inv.todense(), best.hess_inv.todense())
    for name in ("nfev", "njev", "nit"):
        assert result[name] == sum(run[name] for run in result.results)


@pytest.mark.parametrize(("jac", "cost"), [(None, 4), ("3-point", 7), (rosen_der, 1)], ids=shown)
def test_what_all_runs_want_next_is_one_wave(jac, cost):
    waves, gradients = [], []
    given = (lambda x: gradients.append(x) or rosen_der(x)) if callable(jac) else jac
    result = P_BFGS(10_000, max_processes=5, seed=3).minimize(stacked(rosen, waves), START, given)
    lengths = [run.nfev // cost for run in result.results]
    assert len(waves) == max(lengths)
    expected = [cost * sum(length > k for length in lengths) for k in range(max(lengths))]
    # Without a gradient of the user's its own wave is alone when only one run is left.
    if callable(jac) or expected.count(cost) == 0:
        assert [len(wave) for wave in waves] == expected
    assert sum(map(len, waves)) == result.nfev
    assert len(gradients) == result.njev


def test_workers_have_points_and_gradients_of_all_runs_at_a_time():
    alone = P_BFGS(seed=3).minimize(rosen, START, rosen_der)
    with ThreadPoolExecutor(4) as pool:
        for jac in (None, rosen_der):
            result = P_BFGS(10_000, seed=3).minimize(rosen, START, jac, workers=pool)
            assert (result.nfev == alone.nfev) == (jac is not None)
            assert result.x == pytest.approx(alone.x, abs=1e-4)


def test_there_are_as_many_runs_as_are_asked_for_on_any_machine(monkeypatch):
    expected = starts_of(P_BFGS(seed=3))
    for cores in (1, 64):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert np.array_equal(starts_of(P_BFGS(seed=3)), expected)
    for further in (0, 1, 7):
        starts = starts_of(P_BFGS(max_processes=further, seed=3))
        assert len(starts) == 1 + further
        assert starts[0].tolist() == START
        shared = min(further, 3) + 1
        assert np.array_equal(starts[:shared], expected[:shared])  # more runs are further ones


side = st.one_of(st.none(), st.floats(-1e308, 1e308), st.floats(-9, 9))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.tuples(side, side), min_size=3, max_size=3), st.integers(0, 99))
def test_starts_are_within_the_bounds_or_within_pi(pairs, seed):
    bounds = [
        (high, low) if low is not None and high is not None and low > high else (low, high)
        for low, high in pairs
    ]
    low = np.array([-np.inf if a is None else a for a, _ in bounds])
    high = np.array([np.inf if b is None else b for _, b in bounds])
    x0 = np.clip(START, low, high)
    if (low == high).all():
        return
    points = []

    def flat(x):
        points.append(x.copy())
        return 0.0

    result = P_BFGS(seed=seed).minimize(flat, x0, lambda x: np.zeros(3), bounds)
    starts = np.array(points)
    assert len(starts) == result.nfev == 4
    assert (starts >= np.where(np.isfinite(low), low, x0 - np.nextafter(np.pi, 4))).all()
    assert (starts <= np.where(np.isfinite(high), high, x0 + np.nextafter(np.pi, 4))).all()


def test_starts_are_drawn_evenly():
    starts = starts_of(P_BFGS(max_processes=2000, maxfun=2001, seed=1), [1.0, 2.0, 3.0])[1:]
    # Of 2000 even numbers between -pi and pi, five standard errors of the mean are 0.2.
    assert starts.mean(axis=0) == pytest.approx([1.0, 2.0, 3.0], abs=0.2)
    assert np.abs(starts - [1.0, 2.0, 3.0]).max(axis=0) == pytest.approx(np.pi, abs=0.02)


def test_no_bounds_are_made_up():
    # Qiskit's are 2 pi, on either side of zero.
    result = P_BFGS(seed=1).minimize(lambda x: float((x[0] - 40) ** 2), [20.0])
    assert result.x == pytest.approx([40.0], abs=1e-5)
    assert result.success


def test_the_lowest_of_the_minima_is_the_result():
    box, optimizer = [(-2, 2)] * 2, P_BFGS(max_processes=15)
    found = [optimizer.minimize(wells, [1.0, 1.0], None, box, seed=s) for s in range(20)]
    # A start is in the lowest basin in one of four; of 15 none is with the chance 0.75**15.
    lowest = [result.x == pytest.approx([-1.0123, -1.0123], abs=1e-3) for result in found]
    assert sum(lowest) >= 18  # 0.27 are expected to fail, give or take 0.5
    assert LBFGSB().minimize(wells, [1.0, 1.0]).x == pytest.approx([0.987, 0.987], abs=1e-3)


@pytest.mark.parametrize("maxfun", [1, 3, 4, 7, 8, 12, 15, 16, 17, 40, 66])
@pytest.mark.parametrize("jac", [None, rosen_der], ids=shown)
def test_the_budget_is_that_of_all_runs(maxfun, jac):
    for give in (lambda fun: fun, stacked):
        points = []
        fun = give(lambda x, points=points: points.append(x.copy()) or rosen(x))
        for optimizer in (P_BFGS(maxfun, seed=3), P_BFGS(seed=3)):
            points.clear()
            result = optimizer.minimize(fun, START, jac, maxfun=maxfun)
            assert len(points) == result.nfev <= maxfun
            assert maxfun < 16 or result.nfev > maxfun - 16
            assert result.stop is StopReason.MAXFUN
            assert result.fun == min(rosen(point) for point in points)
            assert result.results.nfev == result.nfev
            assert len(result.results) == 4


def test_callbacks_see_the_iterations_of_each_run():
    seen = []

    def by_name(intermediate_result):
        seen.append(intermediate_result)

    result = P_BFGS(10_000, seed=3).minimize(rosen, START, rosen_der, callback=by_name)
    assert [state.nit for state in seen] == list(range(1, result.nit + 1))
    for run in result.results:
        steps = [state for state in seen if state.run == run.run]
        assert len(steps) == run.nit
        assert np.array_equal(steps[-1].x, run.x)
        assert all(state.fun == rosen(state.x) for state in steps)
        assert all(np.array_equal(state.jac, rosen_der(state.x)) for state in steps)
    stopped = P_BFGS(seed=3).minimize(rosen, START, callback=lambda xk: True)
    assert (stopped.stop, stopped.nit) == (StopReason.CALLBACK, 1)
    assert stopped.fun == stopped.best.fun


@pytest.mark.parametrize("is_stacked", [False, True])
def test_runs_whose_points_are_rejected_do_not_hold_up_the_others(is_stacked):
    def walled(x):
        return np.nan if x[0] > 0.5 or x[1] > 0.7 else wells(x)

    bounds = [(-1.2, 1.2)] * 2
    fun = stacked(walled) if is_stacked else walled
    optimizer = P_BFGS(5000, max_processes=7, on_failure="reject", seed=2)
    result = optimizer.minimize(fun, [0.2, 0.2], bounds=bounds)
    assert result.nrejected > 0
    assert result.success
    assert result.x == pytest.approx([-1.0123, -1.0123], abs=1e-3)
    lost = [run for run in result.results if run.stop is StopReason.FAILED]
    assert 0 < len(lost) < 7  # those that started behind the wall
    assert all("rejected" in run.message for run in lost)
    assert result.results.nfev == result.nfev


def test_a_start_that_fails_is_an_error():
    def walled(x):
        return np.nan if x[0] == 0.2 else wells(x)

    for fun in (walled, stacked(walled)):
        with pytest.raises(ArithmeticError):
            P_BFGS(on_failure="reject", seed=2).minimize(fun, [0.2, 0.2])
        with pytest.raises(ArithmeticError):
            P_BFGS(seed=2).minimize(fun, [0.2, 0.2])


def test_the_runs_are_the_same_with_retries():
    expected = P_BFGS(seed=3).minimize(rosen, START, rosen_der)
    found = P_BFGS(seed=3, retries=1).minimize(rosen, START, rosen_der)
    for name in (*COMPARED, "nfev"):
        assert found[name] == expected[name]
    np.testing.assert_array_equal(found.x, expected.x)


def test_a_result_goes_through_json_with_its_runs(tmp_path):
    path = tmp_path / "run.jsonl"
    result = P_BFGS(seed=3, maxfun=60).minimize(rosen, START, journal=path)
    for again in (
        OptimizerResult.from_dict(json.loads(json.dumps(result.to_dict()))),
        load(path).result,
    ):
        assert [run.stop for run in again.results] == [run.stop for run in result.results]
        np.testing.assert_array_equal(again.results[1].x, result.results[1].x)


def test_a_seed_is_a_run():
    optimizer = P_BFGS(seed=9)
    first = optimizer.minimize(wells, [0.1, 0.2, 0.3])
    assert np.array_equal(first.x, optimizer.minimize(wells, [0.1, 0.2, 0.3]).x)
    starts = starts_of(optimizer)
    assert np.array_equal(starts, starts_of(optimizer))
    assert not np.array_equal(starts, starts_of(optimizer, seed=10))


def test_ask_and_tell_asks_the_points_of_all():
    with P_BFGS(seed=3).stepper(START) as stepper:
        sizes = []
        for ask in stepper:
            sizes.append(len(ask.x_fun))
            stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun]))
        result = stepper.result()
    assert sizes[0] == 16
    direct = P_BFGS(seed=3).minimize(stacked(rosen), START)
    assert np.array_equal(result.x, direct.x)
    assert result.nfev == direct.nfev


def test_its_journal_is_one(tmp_path):
    path = tmp_path / "run.jsonl"
    points = []
    fun = stacked(lambda x: points.append(x) or rosen(x))
    first = P_BFGS(maxfun=60, seed=3).minimize(fun, START, journal=path)
    assert first.nfev == len(points)
    whole = P_BFGS(maxfun=300, seed=3).minimize(fun, START)
    points.clear()
    again = P_BFGS(maxfun=300, seed=3).minimize(fun, START, journal=path)
    assert np.array_equal(again.x, whole.x)
    assert len(points) == whole.nfev - first.nfev


def test_its_options_are_those_of_lbfgsb():
    optimizer = P_BFGS(ftol=1e-3, options={"maxiter": 2, "maxcor": 3, "gtol": 1e-2}, seed=3)
    result = optimizer.minimize(rosen, START)
    for start, run in zip(starts_of(P_BFGS(seed=3)), result.results, strict=True):
        single = LBFGSB(ftol=1e-3, options={"maxiter": 2, "maxcor": 3, "gtol": 1e-2})
        assert np.array_equal(run.x, single.minimize(rosen, start).x)
    assert P_BFGS(**optimizer.settings) == optimizer
    points = []
    P_BFGS(4, options={"eps": 0.25}, max_processes=0).minimize(
        lambda x: points.append(x) or rosen(x), START
    )
    assert np.abs(points[1] - points[0]).max() == pytest.approx(0.25)


def test_what_cannot_be_used_is_an_error_at_once(capsys):
    for wrong in (-1, 1.5, "all"):
        with pytest.raises(OptionError, match="max_processes"):
            P_BFGS(max_processes=wrong)
        with pytest.raises(OptionError, match="max_processes"):
            P_BFGS().set_options(max_processes=wrong)
    with pytest.raises(UnknownOptionError, match="max_processes"):
        P_BFGS(options={"max_proceses": 3})
    with pytest.raises(CapabilityError, match="constraints"):
        P_BFGS().minimize(rosen, START, constraints={"type": "ineq", "fun": np.sum})
    P_BFGS(iprint=0, seed=3).minimize(rosen, START)
    assert len(capsys.readouterr().out.strip().splitlines()) >= 1


def test_variables_that_are_all_fixed_leave_nothing_to_do():
    result = P_BFGS().minimize(rosen, [1.0, 2.0], bounds=[(1, 1), (2, 2)])
    assert (result.stop, result.nfev) == (StopReason.FIXED, 1)


def test_the_constructor_is_that_of_qiskit():
    reason = "needs the extra: qiskit"
    theirs = pytest.importorskip("qiskit_algorithms.optimizers", reason=reason).P_BFGS

    def arguments(cls):
        parameters = list(inspect.signature(cls.__init__).parameters.values())
        return [(p.name, p.default) for p in parameters]

    assert arguments(P_BFGS) == arguments(theirs)
