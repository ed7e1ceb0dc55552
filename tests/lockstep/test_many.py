import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import optimizers
from optimizers import (
    AQGD,
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    TNC,
    Differences,
    InvalidInputError,
    InvalidValueError,
    NonFiniteValueError,
    OptimizerResults,
    OptimizerWarning,
    OptionError,
    StopReason,
    SupportLevel,
    multistart,
    race,
    vectorized,
)
from optimizers.lockstep.many import seeds_from
from tests.making import make, of_values

STARTS = np.array([[-1.2, 1.0, 0.3], [0.5, 0.5, 0.5], [2.0, 2.0, -1.0], [0.0, 0.0, 0.0]])
COMPARED = (
    *("x", "fun", "jac", "nfev", "njev", "nhev", "nit", "nrejected"),
    *("message", "stop", "success", "status"),
)


def value(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2 + (x[2] - 0.1) ** 4


def gradient(x):
    bend = x[1] - x[0] ** 2
    return np.array([-400 * x[0] * bend - 2 * (1 - x[0]), 200 * bend, 4 * (x[2] - 0.1) ** 3])


def hessian(x):
    steep = 1200 * x[0] ** 2 - 400 * x[1] + 2
    last = 12 * (x[2] - 0.1) ** 2
    return np.array([[steep, -400 * x[0], 0], [-400 * x[0], 200, 0], [0, 0, last]])


def both(x):
    return value(x), gradient(x)


@vectorized
def values(points):
    return np.array([value(point) for point in points])


@vectorized
def pairs(points):
    return values(points), np.array([gradient(point) for point in points])


def sphere(points):
    return np.asarray((points**2).sum(axis=-1))


def needed(cls):
    if make(cls).get_support_level().get("hessian") == SupportLevel.required:
        return {"hess": hessian}
    return {}


def takes_gradient(cls):
    return make(cls).gradient_support_level >= SupportLevel.supported


def assert_same(result, solo):
    for name in COMPARED:
        assert np.array_equal(result[name], solo[name]) or result[name] is solo[name], name


def assert_equals_solo(optimizer, fun, jac=None, bounds=None, starts=STARTS, **settings):
    results = optimizer.minimize_many(fun, starts, jac, bounds, **settings)
    assert [result.run for result in results] == list(range(len(starts)))
    seeds = seeds_from(optimizer.settings.get("seed"))
    for start, result in zip(starts, results, strict=True):
        settings["seed"] = next(seeds)
        assert_same(result, optimizer.minimize(fun, start, jac, bounds, **settings))
    return results


#: SciPy's are slow, in Python, and know one kind of question: once within bounds, and once in the
#: conformance suite.
SLOW = ("COBYLA", "COBYQA")


def name_of(part):
    return getattr(part, "__name__", str(part))


def with_each(*forms):
    """Call a test for each class with each of the forms of a gradient that it can use."""
    cases = [
        (cls, jac)
        for name, cls in of_values().items()
        for jac in forms
        if name not in SLOW
        if jac is None or takes_gradient(cls)
        if jac is True or callable(jac) or not make(cls).is_gradient_required
    ]
    return pytest.mark.parametrize(("cls", "jac"), cases, ids=name_of)


@with_each(None, "3-point", "cs", True, gradient)
def test_each_result_is_that_of_the_run_alone(cls, jac):
    fun = both if jac is True else value
    assert_equals_solo(make(cls), fun, jac, maxfun=60, **needed(cls))


@with_each(None, True, gradient)
def test_each_result_of_a_vectorized_objective_is_that_of_the_run_alone(cls, jac):
    fun = pairs if jac is True else values
    assert_equals_solo(make(cls), fun, jac, maxfun=60, **needed(cls))


@pytest.mark.parametrize(
    "cls",
    [c for c in of_values().values() if make(c).bounds_support_level >= SupportLevel.supported],
    ids=name_of,
)
def test_each_result_within_bounds_is_that_of_the_run_alone(cls):
    bounds = [(-1.5, 0.8), (-2, 3), (0, None)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizerWarning)  # a start is clipped
        for fun in (value, values):
            assert_equals_solo(make(cls), fun, None, bounds, maxfun=60)


@pytest.mark.parametrize(
    "cls", [cls for name, cls in of_values().items() if name not in SLOW], ids=name_of
)
@pytest.mark.parametrize(("hole", "on_failure"), [(np.nan, "reject"), (np.inf, "raise")])
def test_each_result_with_rejections_is_that_of_the_run_alone(cls, hole, on_failure):
    def partial(x):
        return value(x) if x[0] + x[1] < 1.9 and x[2] > -1.5 else hole

    @vectorized
    def partials(points):
        return np.array([partial(point) for point in points])

    # Of parameter shift, a probe of the start would be rejected: nothing else can take its place.
    jac = gradient if make(cls).is_gradient_required or cls is AQGD else None
    starts = STARTS[[0, 1, 3]]
    for fun in (partial, partials):
        settings = {"maxfun": 80, "on_failure": on_failure, **needed(cls)}
        assert_equals_solo(make(cls), fun, jac, starts=starts, **settings)


@pytest.mark.parametrize("maxfun", [1, 4, 5, 9, 13, 26])
def test_each_run_has_its_own_budget(maxfun):
    for fun in (value, values):
        assert_equals_solo(LBFGSB(), fun, maxfun=maxfun)
        assert_equals_solo(TNC(), fun, maxfun=maxfun)


def test_a_scheme_with_steps_and_noise_are_as_in_the_run_alone():
    assert_equals_solo(LBFGSB(), values, Differences("3-point", step=1e-4))
    assert_equals_solo(LBFGSB(seed=7), values, noise=1e-6, maxfun=300)
    assert_equals_solo(LBFGSB(speculate=3), values)


def test_answers_in_single_precision_are_as_in_the_run_alone():
    @vectorized
    def coarse(points):
        return values(points).astype(np.float32)

    assert_equals_solo(LBFGSB(), coarse)


def test_groups_are_filled_across_runs():
    sizes = []

    def grouped(flat):
        points = flat.reshape(-1, 3)
        sizes.append(len(points))
        return [value(point) for point in points]

    optimizer = LBFGSB(max_evals_grouped=8)
    results = assert_equals_solo(optimizer, grouped)
    sizes.clear()
    optimizer.minimize_many(grouped, STARTS)
    assert sizes[:2] == [8, 8]  # four starts, each with three probes
    assert len(results) == 4


@pytest.mark.parametrize("jac", [None, True, gradient], ids=name_of)
@pytest.mark.parametrize("kind", ["threads", "processes", "map"])
def test_workers_give_the_same(jac, kind):
    fun = both if jac is True else value
    expected = LBFGSB().minimize_many(fun, STARTS, jac)
    with ThreadPoolExecutor(16) as pool:
        workers = {"threads": pool, "processes": 2, "map": pool.map}[kind]
        results = LBFGSB().minimize_many(fun, STARTS, jac, workers=workers)
    for result, other in zip(results, expected, strict=True):
        assert_same(result, other)


def test_values_and_gradients_travel_together_one_task_a_point():
    barrier, most = threading.Barrier(4, timeout=20), []

    def together(x):
        if not most:  # the starts of all runs are at work at the same time
            barrier.wait()
        return value(x)

    def after(x):
        most.append(threading.current_thread().name)
        return gradient(x)

    with ThreadPoolExecutor(4) as pool:
        results = LBFGSB().minimize_many(together, STARTS, after, workers=pool)
    assert len(most) == sum(result.njev for result in results)
    assert max(result.rounds for result in results) == results.rounds
    assert all(result.rounds == result.njev for result in results)


def ackley(points):
    a = np.exp(-0.2 * np.sqrt((points**2).mean(axis=1)))
    return -20 * a - np.exp(np.cos(2 * np.pi * points).mean(axis=1)) + 20 + np.e


def rastrigin(points):
    return (points**2 - 10 * np.cos(2 * np.pi * points) + 10).sum(axis=1)


@pytest.mark.parametrize("function", [ackley, rastrigin])
def test_64_starts_take_as_many_calls_as_the_longest_of_them(function):
    starts = np.random.default_rng(5).uniform(-5, 5, (64, 10))
    calls = []

    @vectorized
    def fun(points):
        calls.append(len(points))
        return function(points)

    results = LBFGSB().minimize_many(fun, starts)
    together = len(calls)
    longest = 0
    for start, result in zip(starts, results, strict=True):
        calls.clear()
        assert_same(result, LBFGSB().minimize(fun, start))
        longest = max(longest, len(calls))
    assert together == longest == results.rounds


def test_64_callback_driven_runs_leave_no_thread():
    before = threading.active_count()
    starts = np.random.default_rng(5).uniform(-2, 2, (64, 3))
    results = SLSQP().minimize_many(values, starts)
    assert len(results) == 64
    assert threading.active_count() == before


# What fails.


def failing_near(point, error):
    def fun(x):
        if np.allclose(x, point, atol=1e-4):
            raise error
        return value(x)

    return fun


@pytest.mark.parametrize("cls", [LBFGSB, NELDER_MEAD, TNC])
def test_one_failed_run_does_not_end_the_others(cls):
    failure = ZeroDivisionError("here")
    fun = failing_near(STARTS[1], failure)
    results = make(cls).minimize_many(fun, STARTS)
    assert results.failures == {1: failure}
    assert results[1].error is failure
    assert results[1].stop is StopReason.FAILED
    assert not results[1].success
    for i in (0, 2, 3):
        assert_same(results[i], make(cls).minimize(value, STARTS[i]))
        assert "error" not in results[i]
    with pytest.raises(ZeroDivisionError) as caught:
        make(cls).minimize_many(fun, STARTS, on_error="raise")
    assert len(caught.value.optimizer_results) == 4


def test_a_call_that_fails_for_one_run_is_made_again_run_by_run():
    @vectorized
    def fun(points):
        if np.isclose(points, STARTS[1]).all(axis=1).any():
            raise ZeroDivisionError("somewhere in the stack")
        return values(points)

    results = LBFGSB().minimize_many(fun, STARTS)
    assert list(results.failures) == [1]
    for i in (0, 2, 3):
        solo = LBFGSB().minimize(values, STARTS[i])
        assert np.array_equal(results[i].x, solo.x)
        assert results[i].nfev == solo.nfev + 4  # the call that failed counts


def test_what_fails_in_every_run_is_raised():
    with pytest.raises(InvalidValueError) as caught:
        LBFGSB().minimize_many(lambda x: None, STARTS)
    assert len(caught.value.optimizer_results) == 4
    with pytest.raises(NonFiniteValueError):
        LBFGSB().minimize_many(lambda x: np.nan, STARTS[:1])


@pytest.mark.parametrize("workers", [None, "vectorized", "threads"])
@pytest.mark.parametrize("cls", [LBFGSB, NELDER_MEAD])
def test_ctrl_c_ends_all_runs_and_loses_nothing(cls, workers):
    seen = []
    pool = ThreadPoolExecutor(1)

    def interrupted(points):
        seen.extend(np.atleast_2d(points).tolist())
        if len(seen) > 40:
            raise KeyboardInterrupt
        return value(points) if points.ndim == 1 else values(points)

    settings = {"workers": pool if workers == "threads" else workers}
    with pytest.raises(KeyboardInterrupt) as caught:
        make(cls).minimize_many(interrupted, STARTS, **settings)
    results = caught.value.optimizer_results
    assert [result.stop for result in results] == [StopReason.INTERRUPTED] * 4
    if workers is None:
        assert results.nfev == len(seen)
        # The last had no value.
        assert caught.value.optimizer_result.fun == min(map(value, np.array(seen[:-1])))
    seen.clear()
    returned = make(cls).minimize_many(interrupted, STARTS, on_interrupt="return", **settings)
    assert [result.stop for result in returned] == [StopReason.INTERRUPTED] * 4
    pool.shutdown()


def test_a_timeout_is_for_the_whole_call():
    def slow(x):
        time.sleep(0.01)
        return value(x)

    results = LBFGSB().minimize_many(slow, np.tile(STARTS, (10, 1)), timeout=0.2)
    assert {result.stop for result in results} == {StopReason.TIMEOUT}
    results = NELDER_MEAD().minimize_many(value, STARTS, timeout=1e-9)
    assert [(r.stop, r.nfev) for r in results] == [(StopReason.TIMEOUT, 0)] * 4


@pytest.mark.parametrize("how", ["each", "stack", "groups", "threads", "race", "multistart"])
@pytest.mark.parametrize("late", [1, 6, 20])
def test_what_came_when_the_time_was_up_counts(how, late):
    seen = []

    def slow(x):
        found = value(x)
        seen.append(found)
        if len(seen) == late:
            time.sleep(0.06)
        return found

    with ThreadPoolExecutor(2) as pool:
        if how == "race":
            entrants = [LBFGSB(), NELDER_MEAD(), AQGD()]
            results = race(entrants, slow, STARTS[0], timeout=0.05).values()
        elif how == "multistart":
            box = [(-2.0, 2.0)] * 3
            results = multistart(slow, box, 10**6, seed=1, timeout=0.05, agreement=False).runs
        else:
            fun = {
                "stack": vectorized(lambda points: [slow(x) for x in points]),
                "groups": lambda flat: [slow(x) for x in flat.reshape(-1, 3)],
            }.get(how, slow)
            optimizer = LBFGSB(max_evals_grouped=5 if how == "groups" else 1)
            workers = pool if how == "threads" else None
            results = optimizer.minimize_many(fun, STARTS, timeout=0.05, workers=workers)
    assert sum(result.nfev for result in results) == len(seen)
    found = [result.best.fun for result in results if result.best]
    assert min(found, default=None) == min(seen, default=None)
    assert StopReason.TIMEOUT in {result.stop for result in results}


@pytest.mark.parametrize("workers", [None, "threads"])
def test_retries_count_and_are_charged_to_their_run(workers):
    calls, failed = [], set()
    lock = threading.Lock()

    def flaky(x):
        with lock:
            calls.append(x)
            key = x.tobytes()
            if x[0] > 0.4 and key not in failed:
                failed.add(key)
                raise OSError("once")
        return value(x)

    with ThreadPoolExecutor(3) as pool:
        results = LBFGSB().minimize_many(
            flaky, STARTS[:2], retries=1, workers=pool if workers else None
        )
    assert results.failures == {}
    assert results.nfev == len(calls)
    assert results[0].nfev > LBFGSB().minimize(value, STARTS[0]).nfev
    failed.clear()
    calls.clear()
    limited = LBFGSB().minimize_many(flaky, STARTS[:2], retries=1, maxfun=6)
    assert all(result.nfev <= 6 for result in limited)
    assert limited.nfev == len(calls)


def test_an_evaluation_that_hangs_fails_in_its_run_alone():
    release = threading.Event()

    def fun(x):
        if np.array_equal(x, STARTS[2]):
            release.wait(30)
        return value(x)

    try:
        with ThreadPoolExecutor(8) as pool:
            results = LBFGSB().minimize_many(fun, STARTS, workers=pool, eval_timeout=0.3)
            release.set()
    finally:
        release.set()
    assert {i: type(e).__name__ for i, e in results.failures.items()} == {
        2: "EvaluationTimeoutError"
    }


# Settings.


def test_a_callback_is_told_which_run_it_sees_and_ends_that_one():
    seen = {i: [] for i in range(4)}

    def callback(intermediate_result):
        seen[intermediate_result.run].append(intermediate_result.x)
        return intermediate_result.run == 2 and len(seen[2]) == 3

    for cls in (LBFGSB, SLSQP):
        for iterates in seen.values():
            iterates.clear()
        results = make(cls).minimize_many(value, STARTS, callback=callback)
        assert [len(seen[i]) for i in range(4)] == [result.nit for result in results]
        assert results[2].stop is StopReason.CALLBACK
        assert_same(results[0], make(cls).minimize(value, STARTS[0]))


def test_a_callback_that_fails_ends_its_run_alone():
    def callback(intermediate_result):
        if intermediate_result.run == 1:
            raise LookupError("no such thing")

    results = LBFGSB().minimize_many(value, STARTS, callback=callback)
    assert list(results.failures) == [1]


def test_the_first_run_has_the_seed_and_the_others_streams_of_their_own():
    drawn = []

    class Drawing(LBFGSB):
        def _solve(self, run):
            drawn.append(run.rng.random())
            return super()._solve(run)

    Drawing().minimize_many(value, STARTS, seed=7)
    first = drawn.copy()
    assert first[0] == np.random.default_rng(7).random()
    assert len(set(first)) == 4
    drawn.clear()
    Drawing().minimize_many(value, STARTS[:2], seed=7)
    assert drawn == first[:2]
    Drawing().minimize_many(value, STARTS[:2], seed=np.random.default_rng(7))
    assert drawn[2] == first[0]
    with pytest.raises(OptionError, match="seed"):
        Drawing().minimize_many(value, STARTS, seed="seven")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1.0, 2.0], "shape"),
        (np.zeros((0, 2)), "shape"),
        ({"a": [1.0, 2.0]}, "X0"),
        ([{"a": 1.0}, {"a": np.nan}], "a of a point is nan"),
        ([{"a": 1.0}, {"b": 1.0}], "structure"),
        ([[1.0, 2.0], [1.0]], "real numbers"),
        ([["a", "b"]], "real numbers"),
        ([[1.0, np.nan]], r"X0\[0, 1\]"),
    ],
)
def test_starts_that_cannot_be_used_are_named_errors_before_any_evaluation(given, words):
    calls = []
    with pytest.raises(InvalidInputError, match=words):
        LBFGSB().minimize_many(calls.append, given)
    assert calls == []


def test_other_arguments_that_cannot_be_used_are_named_errors_before_any_evaluation():
    calls = []
    for error, arguments in (
        (InvalidInputError, {"jac": "4-point"}),
        (InvalidInputError, {"bounds": [(0, 1)]}),
        (OptionError, {"on_error": "ignore"}),
        (OptionError, {"maxfun": 0}),
        (OptionError, {"journal": ""}),
        (optimizers.UnknownOptionError, {"maxfunn": 9}),
    ):
        with pytest.raises(error):
            LBFGSB().minimize_many(calls.append, STARTS, **arguments)
    assert calls == []


def test_what_holds_for_all_runs_is_warned_of_once():
    with pytest.warns(OptimizerWarning) as caught:
        NELDER_MEAD().minimize_many(value, STARTS, gradient, noise=1e-3)
    assert len(caught) == 2
    with pytest.warns(OptimizerWarning) as caught:
        LBFGSB().minimize_many(value, STARTS, bounds=[(-2, 0.4)] * 3)
    first, others = (str(warning.message) for warning in caught)
    assert "x0[1]" in first
    assert "2 starts besides X0[0]" in others


def test_the_starts_are_not_changed():
    starts = STARTS.copy()
    starts.flags.writeable = False
    LBFGSB().minimize_many(value, starts)
    assert np.array_equal(starts, STARTS)


def test_results_print_as_a_table_and_slice():
    results = LBFGSB().minimize_many(failing_near(STARTS[1], OSError()), STARTS)
    lines = repr(results).splitlines()
    assert lines[0].split() == ["run", "fun", "nfev", "nit", "stop"]
    assert "failed: OSError" in lines[2]
    assert isinstance(results[1:], OptimizerResults)
    assert results.best.fun == min(result.fun for result in results if result.fun is not None)
    assert OptimizerResults().best is None


def test_a_constraint_counts_before_the_value():
    constraint = {"type": "ineq", "fun": lambda x: x[0] - 1}
    results = SLSQP().minimize_many(sphere, [[3.0, 1.0], [2.0, 2.0]], constraints=constraint)
    assert results.best.x[0] == pytest.approx(1.0)


def test_the_first_run_has_the_seed_and_the_others_have_its_children():
    seeds, children = seeds_from(7), np.random.SeedSequence(7).spawn(2)
    assert next(seeds) == 7
    for child in children:
        assert next(seeds).random() == np.random.default_rng(child).random()
