import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from optimizers import (
    BFGS,
    CG,
    LBFGSB,
    SLSQP,
    InvalidInputError,
    SPSAGradient,
    TellData,
    vectorized,
)

INF = np.inf
GRADIENT = np.array([1.0, -2.0, 0.5, 3.0])
START = np.array([1.0, -1.0, 0.5, 2.0])


def generator(seed=0):
    rng = np.random.default_rng(seed)
    return lambda: rng


def bowl(x):
    return float(((x - 0.3) ** 2).sum())


# The estimate.


def test_each_sample_is_two_probes_that_move_all_variables_by_the_step():
    plan = SPSAGradient(3, step=0.25).plan(START, rng=generator())
    moves = plan.points - START
    assert moves.shape == (6, 4)
    np.testing.assert_allclose(np.abs(moves), 0.25, rtol=1e-14)
    np.testing.assert_allclose(moves[::2], -moves[1::2], rtol=1e-14)
    np.testing.assert_allclose(plan.noise, 2**0.5 / 0.5 / 3**0.5, rtol=1e-13)
    assert plan.curvature(0.0, np.zeros(6)) is None
    assert plan.curvature_noise is None


@pytest.mark.parametrize("upper", [None, START + np.array([0.0, 0.001, 5, 5])])
def test_it_is_unbiased_on_a_line(upper):
    lower = None if upper is None else START - 10
    samples = 40_000
    plan = SPSAGradient(samples, step=0.1).plan(START, lower, upper, rng=generator(1))
    found = plan.fold(float(GRADIENT @ START), plan.points @ GRADIENT)
    # A component scatters by the others' parts of the differences.
    spans = np.abs(plan.points[0] - plan.points[1])
    others = np.sqrt(((GRADIENT * spans) ** 2).sum() - (GRADIENT * spans) ** 2) / spans
    assert (np.abs(found - GRADIENT) <= 5 * others / samples**0.5).all()


def test_one_variable_is_a_central_difference():
    plan = SPSAGradient(step=0.5).plan(np.array([2.0]), rng=generator())
    np.testing.assert_allclose(plan.fold(0.0, plan.points[:, 0] ** 2), [4.0])


COORDINATE = st.one_of(st.floats(-1e150, 1e150), st.floats(-10, 10), st.sampled_from([0.0, 5e-324]))
GAP = st.one_of(st.just(INF), st.just(0.0), st.floats(0, 1e-6), st.floats(0, 20))


@given(
    st.lists(st.tuples(COORDINATE, GAP, GAP), min_size=1, max_size=4),
    st.floats(1e-12, 10),
    st.integers(1, 3),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=150)
def test_probes_never_leave_the_bounds_and_all_that_is_free_moves(box, step, samples, seed):
    x = np.array([at for at, _, _ in box])
    lower = np.array([at - gap for at, gap, _ in box])
    upper = np.array([at + gap for at, _, gap in box])
    plan = SPSAGradient(samples, step).plan(x, lower, upper, rng=generator(seed))
    assert (plan.points >= lower).all()
    assert (plan.points <= upper).all()
    moved = plan.points[::2] != plan.points[1::2]
    assert moved[:, lower < upper].all()
    assert not moved[:, lower == upper].any()
    assert len(plan.points) == (2 * samples if (lower < upper).any() else 0)
    constant = plan.fold(3.0, np.full(len(plan.points), 3.0))
    np.testing.assert_array_equal(constant, 0.0)


def test_a_fixed_variable_has_a_zero():
    room = np.array([0, 1, 1, 1])
    lower, upper = START - room, START + room
    plan = SPSAGradient(2).plan(START, lower, upper, rng=generator())
    found = plan.fold(0.0, plan.points @ GRADIENT)
    assert found[0] == 0.0 == plan.noise[0]
    assert found[1:].all()


def test_a_failed_probe_costs_its_pair_alone():
    plan = SPSAGradient(3, step=0.5).plan(START, rng=generator())
    values = plan.points @ GRADIENT
    broken = values.copy()
    broken[2] = np.nan
    again = plan.retry(0.0, broken)
    assert again.points.shape == (0, 4)
    pairs = (values[::2] - values[1::2])[:, np.newaxis] / (plan.points[::2] - plan.points[1::2])
    np.testing.assert_allclose(again.fold(0.0, np.empty(0)), pairs[[0, 2]].mean(axis=0))
    np.testing.assert_allclose(again.noise, plan.noise * 1.5**0.5)
    broken[[0, 5]] = np.inf
    assert plan.retry(0.0, broken) is None


def test_what_cannot_be_used_is_an_error():
    for samples in (0, -1, 1.5, True, None):
        with pytest.raises(InvalidInputError, match="samples is"):
            SPSAGradient(samples)
    for step in (0, -1, INF, np.nan, "a", [[1.0]], [1.0, 0.0]):
        with pytest.raises(InvalidInputError, match="expected a positive number"):
            SPSAGradient(step=step)
    with pytest.raises(InvalidInputError, match=r"shape \(2,\), expected one number or \(3,\)"):
        BFGS().minimize(bowl, [1.0, 2.0, 3.0], SPSAGradient(step=[0.1, 0.2]))


def test_equality_is_that_of_values():
    one = SPSAGradient(2, [0.1, 0.2])
    assert one == SPSAGradient(2, (0.1, 0.2)) == pickle.loads(pickle.dumps(one))
    assert one != SPSAGradient(2, [0.1, 0.3])
    assert SPSAGradient() != SPSAGradient(2)


# In runs.


def traced(points):
    def fun(x):
        points.append(x)
        return bowl(x)

    return fun


@pytest.mark.parametrize("cls", [LBFGSB, BFGS, CG, SLSQP])
def test_the_same_seed_is_the_same_run_on_every_evaluator(cls):
    source, runs = SPSAGradient(2), []
    settings = {"seed": 5, "maxfun": 61}
    serial = cls().minimize(traced(runs), START, source, **settings)

    @vectorized
    def stacked(points):
        return np.array([bowl(x) for x in points])

    with ThreadPoolExecutor(2) as pool:
        threads = cls().minimize(bowl, START, source, workers=pool, **settings)
    others = [threads, cls().minimize(stacked, START, source, **settings)]
    stepper = cls().stepper(START, source, **settings)
    for ask in stepper:
        stepper.tell(ask, TellData([bowl(x) for x in ask.x_fun]))
    others += [stepper.result(), cls().minimize_many(stacked, [START], source, **settings)[0]]
    for other in others:
        np.testing.assert_array_equal(other.x, serial.x)
        assert other.nfev == serial.nfev == len(runs)
    other = cls().minimize(bowl, START, source, **{**settings, "seed": 6})
    assert not np.array_equal(other.x, serial.x)


def test_steps_at_a_time_are_the_same_on_every_evaluator():
    optimizer, source = LBFGSB(options={"speculate": 3}), SPSAGradient(2)
    settings = {"seed": 5, "maxfun": 100}
    serial = optimizer.minimize(bowl, START, source, **settings)
    with ThreadPoolExecutor(2) as pool:
        threads = optimizer.minimize(bowl, START, source, workers=pool, **settings)
    np.testing.assert_array_equal(serial.x, threads.x)


def test_value_and_gradient_are_one_wave():
    sizes = []

    @vectorized
    def stacked(points):
        sizes.append(len(points))
        return np.array([bowl(x) for x in points])

    result = LBFGSB().minimize(stacked, START, SPSAGradient(4), seed=1, maxfun=45)
    assert set(sizes) == {9}
    assert result.nfev == sum(sizes)


def test_a_known_point_keeps_its_gradient():
    optimizer = LBFGSB()
    problem = optimizer._problem(bowl, START, SPSAGradient(), None)
    run = optimizer._start_run(problem, {"seed": 1})
    first = run.value_and_gradient(START)
    for again in (run.value_and_gradient(START)[1], run.gradient(START)):
        np.testing.assert_array_equal(again, first[1])
    assert run.nfev == 3


@pytest.mark.parametrize("stop", [4, 10, 29])
def test_a_run_resumes_with_the_same_directions(tmp_path, stop):
    source, path, points = SPSAGradient(2), str(tmp_path / "run.jsonl"), []
    settings = {"seed": 5, "maxfun": 41, "journal_check": "off"}
    whole = LBFGSB().minimize(traced(points), START, source, **settings)
    count = itertools.count()

    def killed(x):
        if next(count) == stop:
            raise KeyboardInterrupt
        return bowl(x)

    with pytest.raises(KeyboardInterrupt):
        LBFGSB().minimize(killed, START, source, journal=path, **settings)
    rest = []
    again = LBFGSB().minimize(traced(rest), START, source, journal=path, **settings)
    np.testing.assert_array_equal(again.x, whole.x)
    np.testing.assert_array_equal(rest, points[stop:])
