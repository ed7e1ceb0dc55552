import itertools
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from optimizers import (
    BFGS,
    LBFGSB,
    TNC,
    Differences,
    GradientSource,
    InvalidInputError,
    ParameterShift,
    SPSAGradient,
    TellData,
    load,
    vectorized,
)
from optimizers.cli.rebuild import rebuilt
from optimizers.gradients.shift_rules import usual_rule
from optimizers.problems import h2

EPS = np.finfo(np.float64).eps
INF = np.inf
FEW = settings(deadline=None, max_examples=150)


class Sinusoids:
    """A sum of sinusoids along one variable, with its derivatives."""

    def __init__(self, frequencies, amplitudes):
        self.w = np.array(frequencies)
        self.constant, *rest = amplitudes
        self.a, self.b = np.array(rest).reshape(2, -1)
        self.amplitude = max(np.abs(amplitudes).sum(), 1e-300)

    def __call__(self, x):
        phases = np.multiply.outer(x, self.w)
        return self.constant + np.cos(phases) @ self.a + np.sin(phases) @ self.b

    def slope(self, x):
        return float((-np.sin(self.w * x) * self.a + np.cos(self.w * x) * self.b) @ self.w)

    def bend(self, x):
        return float(-(np.cos(self.w * x) * self.a + np.sin(self.w * x) * self.b) @ self.w**2)


def multiples(count, spacing=1.0):
    return tuple(spacing * k for k in range(1, count + 1))


@st.composite
def spectra(draw):
    if draw(st.booleans()):
        return multiples(draw(st.integers(1, 4)), draw(st.floats(0.25, 3)))
    numbers = st.lists(st.integers(1, 24), min_size=1, max_size=4, unique=True)
    return tuple(sorted(number / 8 for number in draw(numbers)))


@st.composite
def sums(draw):
    frequencies = draw(spectra())
    count = 2 * len(frequencies) + 1
    amplitude = st.floats(-1, 1)
    return Sinusoids(frequencies, draw(st.lists(amplitude, min_size=count, max_size=count)))


def folded(plan, fun, x):
    f0, values = float(fun(x[0])), fun(plan.points[:, 0])
    return plan.fold(f0, values), plan.curvature(f0, values)


# Exactness.


@given(sums(), st.floats(-100, 100))
@FEW
def test_both_derivatives_of_any_sum_of_sinusoids_are_exact(fun, at):
    x = np.array([at])
    plan = ParameterShift(frequencies=fun.w).plan(x)
    assert plan.points.shape == (2 * len(fun.w), 1)
    slope, bend = folded(plan, fun, x)
    np.testing.assert_allclose(slope, fun.slope(at), rtol=0, atol=1e-9 * fun.amplitude)
    np.testing.assert_allclose(bend, fun.bend(at), rtol=0, atol=1e-9 * fun.amplitude)


@given(sums(), st.floats(-10, 10), st.floats(0.3, 30), st.floats(0, 1))
@FEW
def test_between_bounds_they_are_as_exact_as_the_noise_of_the_rule_allows(fun, at, width, part):
    x = np.array([at])
    lower, upper = x - part * width, x + (1 - part) * width
    plan = ParameterShift(frequencies=fun.w).plan(x, lower, upper)
    assert (plan.points >= lower).all()
    assert (plan.points <= upper).all()
    slope, bend = folded(plan, fun, x)
    unit = 1e-9 * fun.amplitude  # a small room costs digits: rounding is a noise, too
    np.testing.assert_allclose(slope, fun.slope(at), rtol=0, atol=unit * max(1, plan.noise[0]))
    bound = unit * max(1, plan.curvature_noise[0])
    np.testing.assert_allclose(bend, fun.bend(at), rtol=0, atol=bound)


@given(st.floats(-20, 20), st.floats(-3, 3), st.floats(0.1, 5))
@FEW
def test_the_two_term_rule_holds_for_any_shift(shift, at, frequency):
    if abs(math.sin(shift)) < 1e-3:
        return
    fun = Sinusoids((frequency,), (0.5, -0.7, 0.3))
    x = np.array([at])
    plan = ParameterShift(shift, frequencies=(frequency,)).plan(x)
    np.testing.assert_allclose(
        np.sort(plan.points[:, 0] - at), np.array([-1, 1]) * abs(shift) / frequency, atol=1e-13
    )
    slope, bend = folded(plan, fun, x)
    scale = max(1, plan.noise[0], plan.curvature_noise[0])
    np.testing.assert_allclose(slope, fun.slope(at), rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(bend, fun.bend(at), rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("spacing", [1.0, 0.5])
def test_equidistant_frequencies_have_the_shifts_and_coefficients_of_the_paper(count, spacing):
    # Wierichs et al., equation 25: 2 R points around the circle.
    mu = np.arange(1, 2 * count + 1)
    phases = (2 * mu - 1) * np.pi / (2 * count)
    weights = (-1.0) ** (mu - 1) / (4 * count * np.sin(phases / 2) ** 2) * spacing
    known = dict(
        zip(
            np.round(np.where(phases > np.pi, phases - 2 * np.pi, phases), 12), weights, strict=True
        )
    )
    rule = usual_rule(multiples(count, spacing), math.pi / 2)
    found = dict(zip(np.round(rule.offsets * spacing, 12), rule.slope / rule.scale, strict=True))
    assert found.keys() == known.keys()
    for phase in known:
        assert found[phase] == pytest.approx(known[phase], rel=1e-12)


def test_two_terms_are_the_textbook_rule():
    x = np.array([0.3, -1.0])
    plan = ParameterShift().plan(x)
    moves = plan.points - x
    np.testing.assert_allclose(
        moves, np.array([[-1, 0], [1, 0], [0, -1], [0, 1]]) * np.pi / 2, atol=1e-15
    )
    values = np.array([1.0, 4.0, 7.0, 5.0])
    np.testing.assert_allclose(plan.fold(2.0, values), [1.5, -1.0], rtol=1e-15)
    np.testing.assert_allclose(plan.curvature(2.0, values), [0.5, 4.0], rtol=1e-14)
    np.testing.assert_allclose(plan.noise, 0.5**0.5, rtol=1e-15)
    np.testing.assert_allclose(plan.curvature_noise, 1.5**0.5, rtol=1e-14)


# Bounds.

COORDINATE = st.one_of(
    st.floats(-1e150, 1e150),
    st.floats(-10, 10),
    st.sampled_from([0.0, -0.0, 5e-324, 1e-300, -1e-8, 1.0, 1e8, -1e16, 1e150]),
)
GAP = st.one_of(st.just(INF), st.just(0), st.integers(0, 5), st.floats(0, 1e-6), st.floats(0, 20))


@st.composite
def boxes(draw):
    def end(value, side):
        distance = draw(GAP)
        if not isinstance(distance, int):
            return value + side * distance
        for _ in range(distance):
            value = math.nextafter(value, side * INF)
        return value

    x = np.array(draw(st.lists(COORDINATE, min_size=1, max_size=3)))
    lower = np.array([end(value, -1) for value in x])
    upper = np.array([end(value, 1) for value in x])
    return x, lower, upper


@given(boxes(), spectra())
@FEW
def test_probes_never_leave_the_bounds_and_never_are_the_point(box, frequencies):
    x, lower, upper = box
    plan = ParameterShift(frequencies=frequencies).plan(x, lower, upper)
    assert (plan.points >= lower).all()
    assert (plan.points <= upper).all()
    moved = plan.points != x
    np.testing.assert_array_equal(moved.sum(axis=1), 1)
    assert (moved.sum(axis=0)[lower < upper] >= 1).all()
    assert (moved.sum(axis=0) <= 2 * len(frequencies)).all()
    assert len(np.unique(plan.points, axis=0)) == len(plan.points)


@given(boxes(), spectra(), st.booleans())
@FEW
def test_nor_where_only_one_side_is_given(box, frequencies, below):
    x, lower, upper = box
    shift = ParameterShift(frequencies=frequencies)
    if below:
        assert (shift.plan(x, lower, None).points >= lower).all()
    else:
        assert (shift.plan(x, None, upper).points <= upper).all()


@given(boxes(), spectra())
@FEW
def test_a_constant_function_has_derivatives_of_zero(box, frequencies):
    plan = ParameterShift(frequencies=frequencies).plan(*box)
    values = np.full(len(plan.points), 3.0)
    np.testing.assert_array_equal(plan.fold(3.0, values), 0.0)
    np.testing.assert_array_equal(plan.curvature(3.0, values), 0.0)


def test_a_fixed_variable_gets_no_probe_and_zeros():
    x = np.array([1.0, 2.0])
    plan = ParameterShift().plan(x, np.array([1.0, -9.0]), np.array([1.0, 9.0]))
    assert (plan.points[:, 0] == 1.0).all()
    assert plan.points.shape == (2, 2)
    values = np.array([1.0, 2.0])
    for found in (
        plan.fold(1.0, values),
        plan.noise,
        plan.curvature(1.0, values),
        plan.curvature_noise,
    ):
        assert found[0] == 0.0
        assert found[1] != 0.0
    nothing = ParameterShift().plan(x, x, x)
    assert nothing.points.shape == (0, 2)
    np.testing.assert_array_equal(nothing.fold(1.0, np.empty(0)), [0.0, 0.0])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_bound_that_leaves_a_period_costs_no_noise(count):
    shift, x = ParameterShift(frequencies=multiples(count)), np.array([0.0])
    free = shift.plan(x)
    period = 2 * np.pi
    bounded = shift.plan(x, np.array([0.0]), np.array([period]))
    np.testing.assert_allclose(bounded.noise, free.noise, rtol=1e-12)
    assert not np.allclose(np.sort(bounded.points, axis=0), np.sort(free.points, axis=0))


@given(boxes(), spectra(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_noise_is_the_norm_of_the_weights_that_of_the_point_included(box, frequencies, seed):
    plan = ParameterShift(frequencies=frequencies).plan(*box)
    k = len(plan.points)
    with np.errstate(all="ignore"):
        rows = [plan.fold(1.0, np.zeros(k)), *(plan.fold(0.0, row) for row in np.eye(k))]
        bends = [plan.curvature(1.0, np.zeros(k)), *(plan.curvature(0.0, row) for row in np.eye(k))]
        for told, found in ((rows, plan.noise), (bends, plan.curvature_noise)):
            expected = np.hypot.reduce(np.array(told))  # squares of next to nothing are lost
            usable = np.isfinite(expected) & np.isfinite(found)
            np.testing.assert_allclose(found[usable], expected[usable], rtol=1e-7)


# Frequencies of each variable, and what is wrong.


def test_each_variable_may_have_frequencies_of_its_own():
    shift = ParameterShift(frequencies=[(1, 2), [0.5], np.array([3.0, 1.0])])
    assert shift.frequencies == ((1.0, 2.0), (0.5,), (1.0, 3.0))
    x = np.array([0.1, 0.2, 0.3])
    plan = shift.plan(x)
    assert len(plan.points) == 4 + 2 + 4
    funs = [Sinusoids(row, np.linspace(1, 2, 2 * len(row) + 1)) for row in shift.frequencies]

    def fun(points):
        return sum(fun(points[..., i]) for i, fun in enumerate(funs))

    expected = [fun.slope(at) for fun, at in zip(funs, x, strict=True)]
    np.testing.assert_allclose(plan.fold(fun(x), fun(plan.points)), expected, rtol=1e-12)


def test_frequencies_for_another_number_of_variables_are_an_error_before_anything_is_evaluated():
    def never(x):
        raise AssertionError

    shift = ParameterShift(frequencies=[(1,), (2,)])
    with pytest.raises(InvalidInputError, match=r"for 2 variables, expected .* each of 3"):
        BFGS().minimize(never, [1.0, 2.0, 3.0], shift)


@pytest.mark.parametrize(
    "shift", [0, math.pi, -2 * math.pi, 1e-9, INF, math.nan, "1", None, [1, 2]]
)
def test_a_shift_that_tells_nothing_is_an_error(shift):
    if shift == "1":
        shift = "one"
    with pytest.raises(InvalidInputError, match="not a multiple of"):
        ParameterShift(shift)


@pytest.mark.parametrize("given", [(), (0,), (-1,), (1, 1), (INF,), 3, "ab", ((1,), ()), [[[1]]]])
def test_frequencies_that_cannot_be_used_are_an_error(given):
    with pytest.raises(InvalidInputError, match="different positive numbers"):
        ParameterShift(frequencies=given)


def test_a_shift_with_several_frequencies_is_an_error():
    with pytest.raises(InvalidInputError, match="remove shift"):
        ParameterShift(1.0, frequencies=(1, 2))
    ParameterShift(1.0, frequencies=[(1,), (2,)])


def test_equality_is_that_of_values_and_copies_are_equal():
    one = ParameterShift(frequencies=[(1, 2)])
    assert one == ParameterShift(frequencies=(np.array([2, 1]),)) == pickle.loads(pickle.dumps(one))
    assert one != ParameterShift(frequencies=(1, 2))
    assert ParameterShift() != ParameterShift(1.0)
    assert ParameterShift() != GradientSource


# In runs.


def test_it_is_the_vqes_own_gradient():
    energy = h2()
    ours = LBFGSB().minimize(energy, energy.x0, ParameterShift())
    theirs = LBFGSB().minimize(energy, energy.x0, energy.jac)
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-12)
    assert ours.nit == theirs.nit
    assert ours.nfev == 13 * theirs.nfev + 6  # a check of the frequencies for each variable


@pytest.mark.parametrize("cls", [LBFGSB, BFGS, TNC])
def test_all_ways_of_evaluating_ask_the_same_points_in_waves(cls):
    energy = h2()
    shift = ParameterShift()
    sizes = []

    @vectorized
    def stacked(points):
        sizes.append(len(points))
        return energy(points)

    whole = cls().minimize(stacked, energy.x0, shift)
    assert (sizes[0], set(sizes[1:])) == (19, {13})  # the first checks the frequencies
    assert whole.nfev == sum(sizes)
    with ThreadPoolExecutor(2) as pool:
        options = {"values_first": False} if cls is LBFGSB else {}
        optimizer = cls(options=options)
        threads = optimizer.minimize(energy, energy.x0, shift, workers=pool)
    stepper = cls().stepper(energy.x0, shift)
    for ask in stepper:
        assert len(ask.x_fun) == (13 if ask.id else 19)
        stepper.tell(ask, TellData(energy(ask.x_fun)))
    many = cls().minimize_many(energy, [energy.x0, energy.x0 + 1], shift)
    for other in (threads, stepper.result(), many[0]):
        np.testing.assert_allclose(other.x, whole.x, atol=1e-9)
        assert other.nfev == whole.nfev


def test_coarse_values_do_not_make_it_probe_again():
    points = []

    def fun(x):
        points.append(x)
        return np.float32(np.cos(x).sum())

    stepper = LBFGSB().stepper([1.0, 2.0], ParameterShift())
    ask = stepper.ask()
    stepper.tell(ask, TellData(np.array([fun(x) for x in ask.x_fun], np.float32)))
    result = LBFGSB().minimize(fun, [1.0, 2.0], ParameterShift(), maxfun=5)
    assert result.nfev == 5
    assert stepper.ask().x_fun.shape == (5, 2)
    assert not np.array_equal(stepper.ask().x_fun, ask.x_fun)
    stepper.close()


def test_a_journal_knows_it_again(tmp_path):
    energy, path = h2(), str(tmp_path / "run.jsonl")
    shift = ParameterShift(frequencies=[(1,)] * 6)
    first = LBFGSB().minimize(energy, energy.x0, shift, journal=path)

    def never(x):
        raise AssertionError

    again = LBFGSB().minimize(never, energy.x0, shift, journal=path, journal_check="off")
    np.testing.assert_array_equal(again.x, first.x)
    with pytest.raises(Exception, match="shift"):
        LBFGSB().minimize(never, energy.x0, ParameterShift(1.0), journal=path)


@pytest.mark.parametrize(
    "source", [ParameterShift(frequencies=[(1,), (2,)]), SPSAGradient(2, [1, 2])]
)
def test_a_journals_header_gives_it_back(tmp_path, source):
    path = str(tmp_path / "run.jsonl")
    LBFGSB().minimize(lambda x: np.cos(x @ [1, 2]), [1.0, 2.0], source, journal=path, maxfun=9)
    assert rebuilt(load(path).header)[1] == source


@dataclass(frozen=True, eq=False)
class Foreign(GradientSource):
    """A source of somebody else's."""

    step: float = 0.1

    def plan(self, x, lower=None, upper=None, precision=EPS, rng=None):
        return Differences("2-point", step=self.step).plan(x, lower, upper)

    def relative_error(self, precision=EPS):
        return self.step


def test_a_source_of_a_users_own_works_and_a_header_says_that_it_does_not_have_it(tmp_path):
    path = str(tmp_path / "run.jsonl")
    fun = np.linalg.norm
    ours = LBFGSB().minimize(fun, [1.0, 2.0], Differences("2-point", step=0.1), maxfun=30)
    theirs = LBFGSB().minimize(fun, [1.0, 2.0], Foreign(), journal=path, maxfun=30)
    np.testing.assert_array_equal(ours.x, theirs.x)
    with pytest.raises(InvalidInputError, match="Foreign cannot be read from a journal"):
        rebuilt(load(path).header)


def test_bounds_hold_in_a_run():
    energy = h2()
    lower, upper = energy.x0 - 0.5, energy.x0 + np.linspace(0.1, 7, 6)

    def fun(x):
        assert (lower <= x).all()
        assert (x <= upper).all()
        return energy(x)

    bounds = list(zip(lower, upper, strict=True))
    ours = LBFGSB().minimize(fun, energy.x0, ParameterShift(), bounds)
    theirs = LBFGSB().minimize(energy, energy.x0, energy.jac, bounds)
    np.testing.assert_allclose(ours.fun, theirs.fun, atol=1e-9)


def test_given_noise_leaves_its_steps():
    energy = h2(shots=1000, noise_seed=1)
    points = []

    def fun(x):
        points.append(x)
        return energy(x)

    LBFGSB().minimize(fun, energy.x0, ParameterShift(), noise=0.02, maxfun=400)
    moves = [np.abs(a - b).max() for a, b in itertools.pairwise(points)]
    assert np.isclose(moves, np.pi).sum() >= 12
