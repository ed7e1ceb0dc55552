"""A run that is begun again on its journal goes on as if it had never been interrupted."""

import asyncio
import collections
import functools
import itertools
import json
import math
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import NonlinearConstraint, rosen, rosen_der, rosen_hess

import optimizers
from optimizers import (
    BFGS,
    COBYLA,
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    TNC,
    Differences,
    Journal,
    TrustConstr,
    vectorized,
)
from optimizers.testing import Bowl
from tests.making import make, of_values

START = [-1.2, 1.0, 0.5]


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def cut(path, other, count):
    """Write the first ``count`` evaluations of a journal, with what is between them."""
    kept, lines = 0, []
    for line in path.read_text().splitlines(keepends=True):
        kept += '"seq":' in line[:8]
        if kept > count:
            break
        lines.append(line)
    other.write_text("".join(lines))


def evaluations(path):
    return sum("seq" in entry for entry in entries(path))


#: What is not the same each time, or is no number.
UNEQUAL = {"elapsed", "execution_time", "hess_inv", "nreplayed"}


def same(left, right):
    if isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(right, dict):
        names = right.keys() - UNEQUAL
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in names)
    return np.array_equal(left, right, equal_nan=np.asarray(right).dtype.kind == "f")


def assert_same(result, expected):
    """All of a result is the same, but for the time it took."""
    assert result.keys() == expected.keys()
    for name in expected.keys() - UNEQUAL:
        assert same(result[name], expected[name]), name


def check_cuts(tmp_path, minimize, every=1, *, is_ordered=True):
    """Cut a run's journal behind every so many evaluations, and go on from there.

    ``minimize(counted, journal)`` runs to its end; it is given a fresh function each time, and says
    which it is by what it appends to ``counted``.
    """
    iterates = []
    counted = []
    whole = tmp_path / "whole.jsonl"
    expected = minimize(counted, Journal(whole, "never"), iterates)
    total = len(counted)
    count = evaluations(whole)
    assert count >= 3
    text = whole.read_text()
    for kept in [*range(0, count, every), count]:
        path = tmp_path / f"{kept}.jsonl"
        cut(whole, path, kept)
        again, steps = [], []
        assert_same(minimize(again, Journal(path, "never"), steps), expected)
        assert len(again) == total - kept, kept
        np.testing.assert_array_equal(steps, iterates)
        if is_ordered:
            assert same(again, counted[kept:])
        path.unlink()
    # What has ended is not evaluated again, nor written to.
    again = []
    assert_same(minimize(again, Journal(whole, "never"), []), expected)
    assert not again
    assert whole.read_text() == text


def noted(fun, points):
    def call(x):
        points.append(np.array(x))
        return fun(x)

    return call


CASES = [
    (cls, form)
    for cls in of_values().values()
    for form in (("values",) if make(cls).is_gradient_ignored else ("values", "jac", "joint"))
    if not (form == "values" and make(cls).is_gradient_required)
]


@pytest.mark.parametrize(("cls", "form"), CASES, ids=lambda part: getattr(part, "__name__", part))
def test_every_class_goes_on_from_each_evaluation(tmp_path, cls, form):
    levels = make(cls).get_support_level()

    def minimize(counted, path, iterates):
        settings = {"callback": lambda xk: iterates.append(xk.copy()), "journal": path}
        if levels.get("hessian") == optimizers.SupportLevel.required:
            settings["hess"] = noted(Bowl.hess, counted)
            settings["seed"] = 7
        options = {}
        if cls in (
            optimizers.QNG,
            optimizers.QNSPSA,
        ):  # a wave of fidelities is a record, and one call
            options["fidelity"] = vectorized(
                lambda xs, ys: counted.append(np.ravel(xs)) or np.cos(xs - ys).prod(axis=1) ** 2
            )
        fun, jac = noted(Bowl.exact, counted), None
        if form == "jac":
            jac = noted(Bowl().jac, counted)
        if form == "joint":
            jac, fun = True, noted(lambda x: (Bowl.exact(x), Bowl().jac(x)), counted)
        return make(cls, **options).minimize(fun, [-0.8, 1.3, 0.4], jac, **settings)

    check_cuts(tmp_path, minimize, every=1 if cls in (LBFGSB, BFGS) else 7)


def on(cls, fun, jac=None, *, of=(), **settings):
    """Return a ``minimize`` for check_cuts; ``of`` goes to the constructor."""

    def minimize(counted, path, iterates):
        gradient = noted(jac, counted) if callable(jac) else jac
        return cls(**dict(of)).minimize(
            noted(fun, counted),
            START,
            gradient,
            journal=path,
            callback=lambda xk: iterates.append(xk.copy()),
            **settings,
        )

    return minimize


def complex_bowl(z):
    return (z - 1) @ (z - 1) * (1 + z @ z)


@pytest.mark.parametrize("jac", ["2-point", "3-point", Differences("3-point", richardson=True)])
@pytest.mark.parametrize("cls", [LBFGSB, TNC, SLSQP])
def test_differences_go_on(tmp_path, cls, jac):
    check_cuts(tmp_path, on(cls, rosen, jac, maxfun=60), every=3)


@pytest.mark.parametrize("cls", [LBFGSB, SLSQP])
def test_complex_steps_go_on(tmp_path, cls):
    check_cuts(tmp_path, on(cls, complex_bowl, "cs"), every=2)


def test_groups_go_on(tmp_path):
    # One call takes three points: what is cut off in the middle of one is evaluated with others.
    def group(flat):
        return [rosen(point) for point in flat.reshape(-1, 3)]

    whole = tmp_path / "whole.jsonl"
    optimizer = LBFGSB(max_evals_grouped=3, maxiter=4)
    expected = optimizer.minimize(group, START, journal=whole)
    for kept in range(expected.nfev):
        path = tmp_path / f"{kept}.jsonl"
        cut(whole, path, kept)
        assert_same(optimizer.minimize(group, START, journal=path), expected)
        assert evaluations(path) == expected.nfev


@pytest.mark.parametrize("workers", [None, "vectorized"])
def test_stacks_go_on(tmp_path, workers):
    def stack(points):
        calls.append(len(points))
        return np.array([rosen(point) for point in points])

    fun = stack if workers else vectorized(stack)
    calls = []
    whole = tmp_path / "whole.jsonl"
    optimizer = LBFGSB(workers=workers, maxiter=4)
    expected = optimizer.minimize(fun, START, journal=whole)
    assert sum(calls) == expected.nfev
    for kept in range(expected.nfev):
        calls = []
        path = tmp_path / f"{kept}.jsonl"
        cut(whole, path, kept)
        assert_same(optimizer.minimize(fun, START, journal=path), expected)
        assert sum(calls) == expected.nfev - kept


@pytest.mark.parametrize("jac", [None, rosen_der])
def test_threads_go_on(tmp_path, jac):
    with ThreadPoolExecutor(4) as pool:
        minimize = on(LBFGSB, rosen, jac, workers=pool, maxfun=40)
        check_cuts(tmp_path, minimize, every=3, is_ordered=False)


def test_the_points_say_which_worker_took_how_long(tmp_path):
    path = tmp_path / "run.jsonl"
    with ThreadPoolExecutor(4, "mine") as pool:
        LBFGSB(maxiter=2).minimize(rosen, START, workers=pool, journal=path)
    recording = optimizers.load(path)
    assert all("mine" in worker for worker in recording.workers)
    assert (recording.seconds >= 0).all()


def test_processes_go_on(tmp_path):
    whole, path = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    optimizer = LBFGSB(maxiter=6, workers=2, values_first=True)
    expected = optimizer.minimize(rosen, START, journal=whole)
    cut(whole, path, 11)
    again = optimizer.minimize(rosen, START, journal=path)
    for name in ("fun", "nfev", "nit", "message"):
        assert again[name] == expected[name]
    assert len({entry.get("worker") for entry in entries(whole) if "seq" in entry}) > 1


def test_a_narrow_run_goes_on_serially_as_recorded(tmp_path):
    # On two workers the value comes first and may leave its probes: so it is answered again, on
    # however many.
    path = tmp_path / "run.jsonl"
    with ThreadPoolExecutor(2) as pool:
        expected = LBFGSB().minimize(rosen, START, workers=pool, journal=path, journal_check="off")
    with ThreadPoolExecutor(9) as pool:
        assert_same(
            LBFGSB().minimize(unreachable, START, workers=pool, journal=path, journal_check="off"),
            expected,
        )
    assert_same(LBFGSB().minimize(unreachable, START, journal=path, journal_check="off"), expected)


def unreachable(x):
    raise AssertionError("What is recorded is not evaluated again.")


def test_a_wave_that_was_left_counts_what_had_started(tmp_path):
    together, is_over = threading.Barrier(3), threading.Event()
    calls, wave = itertools.count(), []

    def steep(x):
        next(calls)
        value = 50.0 * (x @ x)
        if value < 10.0:
            if wave:
                is_over.set()
        elif len(wave) < 3:  # the first step is too long: its value alone tells
            wave.append(x)
            together.wait(30)  # two of its probes have started
            if not np.array_equal(x, np.median(wave, axis=0)):
                assert is_over.wait(30)  # and end after it
        return value

    path, start = tmp_path / "run.jsonl", [0.1] * 9
    with ThreadPoolExecutor(3) as pool:
        expected = LBFGSB().minimize(steep, start, workers=pool, journal=path, journal_check="off")
        assert any("left" in entry for entry in entries(path))
        assert expected.nfev == next(calls)
        assert_same(
            LBFGSB().minimize(unreachable, start, workers=pool, journal=path, journal_check="off"),
            expected,
        )


def test_a_wave_whose_first_point_fails_counts_what_had_started(tmp_path):
    together = threading.Barrier(4)
    calls, waves = itertools.count(), collections.defaultdict(list)

    def holed(x):
        number = next(calls) // 4
        waves[number].append(x)
        if number == 2:
            together.wait(30)  # all of it have started before one is done
            if np.array_equal(x, np.median(waves[2], axis=0)):  # the others are probes
                return math.nan
            time.sleep(0.05)
        return rosen(x)

    path = tmp_path / "run.jsonl"
    optimizer = LBFGSB(on_failure="reject", maxiter=12)
    with ThreadPoolExecutor(4) as pool:
        expected = optimizer.minimize(holed, START, workers=pool, journal=path, journal_check="off")
        assert expected.nfev == next(calls)
        assert expected.nrejected
        assert_same(
            optimizer.minimize(unreachable, START, workers=pool, journal=path, journal_check="off"),
            expected,
        )


def test_retries_count_again(tmp_path):
    failed = set()

    def flaky(x):
        if len(counted) % 5 == 3 and x.tobytes() not in failed:
            failed.add(x.tobytes())
            counted.append(x)
            raise OSError("passing")
        counted.append(x)
        return rosen(x)

    counted = []
    path = tmp_path / "run.jsonl"
    expected = LBFGSB().minimize(flaky, START, retries=2, journal=path, journal_check="off")
    assert expected.nfev == len(counted)
    assert_same(
        LBFGSB().minimize(unreachable, START, retries=2, journal=path, journal_check="off"),
        expected,
    )


def test_coroutines_go_on(tmp_path):
    async def fun(x):
        await asyncio.sleep(0)
        counted.append(x)
        return float(rosen(x))

    counted = []
    whole, path = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    expected = asyncio.run(LBFGSB().minimize_async(fun, START, journal=whole))
    assert len(counted) == expected.nfev
    for kept in (0, 1, 9, 50):
        counted.clear()
        cut(whole, path, kept)
        assert_same(asyncio.run(LBFGSB().minimize_async(fun, START, journal=path)), expected)
        assert len(counted) == expected.nfev - kept


def holed(x, hole=math.nan):
    return hole if round(1e6 * rosen(x)) % 11 == 1 else rosen(x)


@pytest.mark.parametrize("way", ["reject", None, map])
@pytest.mark.parametrize(
    ("cls", "jac"),
    [
        *itertools.product([LBFGSB, TNC, BFGS], [None, rosen_der]),
        (NELDER_MEAD, None),
        (COBYLA, None),
    ],
)
def test_rejected_points_are_rejected_again(tmp_path, cls, jac, way):
    if way == "reject":
        minimize = on(cls, holed, jac, on_failure="reject", maxfun=80)
    else:
        minimize = on(cls, functools.partial(holed, hole=math.inf), jac, maxfun=80, workers=way)
    counted, path = [], tmp_path / "run.jsonl"
    expected = minimize(counted, path, [])
    assert not np.isfinite(optimizers.load(path).values).all()
    assert expected.nrejected or jac is None  # a probe has another in its place
    again = []
    assert_same(minimize(again, path, []), expected)
    assert not again
    for kept in range(0, evaluations(path), 5):
        part = tmp_path / f"{kept}.jsonl"
        cut(path, part, kept)
        assert_same(minimize([], part, []), expected)


@pytest.mark.parametrize("noise", [1e-6, "estimate"])
def test_runs_under_noise_go_on(tmp_path, noise):
    # By the run's own seed, and whatever the objective draws: answers are those of the first time.
    whole = tmp_path / "whole.jsonl"
    rng = np.random.default_rng(3)

    def noisy(x):
        return float((x - 1) @ (x - 1)) + 1e-6 * rng.normal()

    expected = LBFGSB(noise=noise).minimize(noisy, START, journal=whole, journal_check="off")
    assert_same(
        LBFGSB(noise=noise).minimize(unreachable, START, journal=whole, journal_check="off"),
        expected,
    )
    for kept in range(1, expected.nfev, 37):
        path = tmp_path / f"{kept}.jsonl"
        cut(whole, path, kept)
        result = LBFGSB(noise=noise).minimize(noisy, START, journal=path, journal_check="off")
        points = [optimizers.load(name).points[:kept] for name in (whole, path)]
        assert same(*points)
        assert result.nfev == evaluations(path)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("workers", [None, "threads"])
def test_coarse_values_are_coarse_again(tmp_path, kind, workers):
    with ThreadPoolExecutor(4) as pool:
        minimize = on(LBFGSB, lambda x: kind(rosen(x)), workers=workers and pool, maxfun=60)
        check_cuts(tmp_path, minimize, every=7, is_ordered=not workers)


def test_constraints_go_on(tmp_path):
    ring = NonlinearConstraint(lambda x: x @ x, 0.0, 1.0)
    for cls in (TrustConstr, COBYLA, SLSQP):
        folder = tmp_path / cls.__name__
        folder.mkdir()
        check_cuts(folder, on(cls, rosen, constraints=ring, maxfun=40), every=9)


def test_a_problem_without_variables_is_recorded_too(tmp_path):
    path = tmp_path / "run.jsonl"
    expected = LBFGSB().minimize(lambda x: 7.0, [], journal=path, journal_check="off")
    assert_same(LBFGSB().minimize(unreachable, [], journal=path, journal_check="off"), expected)


@pytest.mark.parametrize("jac", [None, rosen_der])
@pytest.mark.parametrize("cls", [LBFGSB, TNC, BFGS, SLSQP, NELDER_MEAD])
def test_a_serial_run_goes_on_with_workers_or_says_why_not(tmp_path, cls, jac):
    path, points = tmp_path / "run.jsonl", []
    jac = None if make(cls).is_gradient_ignored else jac
    first = make(cls, maxfun=25).minimize(rosen, START, jac, journal=path, journal_check="off")

    def fun(x):
        points.append(x)
        return rosen(x)

    with ThreadPoolExecutor(4) as pool, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = make(cls, maxfun=2000).minimize(
            fun, START, jac, workers=pool, journal=path, journal_check="off"
        )
    assert all("cannot be followed" in str(warning.message) for warning in caught)
    assert result.nfev == first.nfev + len(points)  # either way, nothing is evaluated twice
    assert result.fun < first.fun


@pytest.mark.parametrize("cls", [LBFGSB, TNC])
def test_a_run_of_a_map_goes_on_serially_as_recorded(tmp_path, cls):
    path = tmp_path / "run.jsonl"
    expected = cls().minimize(
        rosen, START, rosen_der, workers=map, journal=path, journal_check="off"
    )
    assert_same(
        cls().minimize(unreachable, START, unreachable, journal=path, journal_check="off"), expected
    )


def test_a_sparse_hessian_is_asked_for_again(tmp_path):
    def hess(x):
        calls.append(x)
        return scipy.sparse.csr_array(rosen_hess(x))

    calls = []
    path = tmp_path / "run.jsonl"
    minimize = functools.partial(TrustConstr().minimize, x0=START, jac=rosen_der, hess=hess)
    expected = minimize(rosen, journal=path, journal_check="off")
    count = len(calls)
    again = TrustConstr().minimize(
        unreachable, START, unreachable, hess=hess, journal=path, journal_check="off"
    )
    assert (again.fun, again.nfev, again.nhev) == (expected.fun, expected.nfev, expected.nhev)
    assert len(calls) == 2 * count
