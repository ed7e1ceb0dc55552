import contextlib
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import Bounds, approx_fprime, minimize

from optimizers import InvalidInputError, Optimizer
from optimizers.gradients.differences import SCHEMES, Differences

EPS = np.finfo(np.float64).eps
INF = np.inf
REAL = ("2-point", "3-point")
FEW = settings(deadline=None, max_examples=150)


def apply(plan, fun, x):
    return plan.fold(fun(x), np.array([fun(point) for point in plan.points]))


# Probes and bounds.


def ulps(value, count):
    for _ in range(abs(count)):
        value = np.nextafter(value, math.copysign(INF, count))
    return float(value)


# From zero and subnormal to huge, but so that differences of two do not overflow.
COORDINATE = st.one_of(
    st.floats(-1e150, 1e150),
    st.floats(-10, 10),
    st.sampled_from([0.0, -0.0, 5e-324, 1e-300, -1e-8, 1.0, 1e8, -1e16, 1e150]),
)
# How far a bound is: a distance, or an integer for so many units in the last place.
GAP = st.one_of(
    st.just(INF), st.just(0), st.integers(0, 5), st.floats(0, 1e-6), st.floats(0, 1e150)
)


@st.composite
def boxes(draw, coordinate=COORDINATE, gap=GAP):
    def end(value, side):
        distance = draw(gap)
        if isinstance(distance, int):
            return ulps(value, side * distance)
        return value + side * distance

    x = np.array(draw(st.lists(coordinate, min_size=1, max_size=4)))
    lower = np.array([end(value, -1) for value in x])
    upper = np.array([end(value, 1) for value in x])
    return x, lower, upper


@st.composite
def differences(draw, *schemes):
    size = st.one_of(st.floats(1e-14, 10), st.floats(-10, -1e-14))
    kind = draw(st.sampled_from([None, "step", "relative_step"]))
    steps = {} if kind is None else {kind: draw(size)}
    return Differences(draw(st.sampled_from(schemes or SCHEMES)), **steps)


@given(boxes(), differences())
@FEW
def test_probes_never_leave_the_bounds(box, scheme):
    x, lower, upper = box
    points = scheme.plan(x, lower, upper).points.real
    assert (points >= lower).all()
    assert (points <= upper).all()


@given(boxes(), differences(), st.booleans())
@FEW
def test_probes_never_leave_bounds_of_which_only_one_side_is_given(box, scheme, below):
    x, lower, upper = box
    if below:
        assert (scheme.plan(x, lower, None).points.real >= lower).all()
    else:
        assert (scheme.plan(x, None, upper).points.real <= upper).all()


@given(boxes(), differences())
@FEW
def test_each_probe_moves_one_variable_and_never_by_nothing(box, scheme):
    x, lower, upper = box
    moved = scheme.plan(x, lower, upper).points != x
    np.testing.assert_array_equal(moved.sum(axis=1), 1)
    free = lower < upper
    assert (moved.sum(axis=0)[free] >= 1).all()
    assert (moved.sum(axis=0) <= (2 if scheme.scheme == "3-point" else 1)).all()


@given(boxes(), differences())
@FEW
def test_equal_bounds_give_a_zero_component_and_no_probe(box, scheme):
    x, lower, upper = box
    lower[0] = upper[0] = x[0]
    plan = scheme.plan(x, lower, upper)
    assert (plan.points[:, 0] == x[0]).all()
    with np.errstate(all="ignore"):  # one can choose values that no function has
        assert plan.fold(1.0, np.arange(2.0, len(plan.points) + 2))[0] == 0.0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_free_needs_no_probe(scheme):
    x = np.array([1.0, -2.0])
    plan = Differences(scheme).plan(x, x, x)
    assert plan.points.shape == (0, 2)
    np.testing.assert_array_equal(plan.fold(1.0, np.empty(0)), [0.0, 0.0])


@given(boxes(), differences())
@FEW
def test_a_constant_function_has_a_zero_gradient(box, scheme):
    x, lower, upper = box
    plan = scheme.plan(x, lower, upper)
    np.testing.assert_array_equal(plan.fold(3.0, np.full(len(plan.points), 3.0)), 0.0)


@given(boxes(coordinate=st.floats(-1e6, 1e6), gap=st.integers(0, 12)), st.sampled_from(REAL))
@FEW
def test_between_bounds_of_a_few_last_places_a_line_keeps_its_slope(box, scheme):
    x, lower, upper = box
    plan = Differences(scheme).plan(x, lower, upper)
    # Differences of neighbors are exact: nothing here is rounded but the scheme's own sums.
    gradient = apply(plan, lambda point: float((point - x).sum()), x)
    np.testing.assert_allclose(gradient, np.where(lower < upper, 1.0, 0.0), rtol=8 * EPS)


@given(boxes(), differences())
@FEW
def test_what_is_given_is_not_changed_and_folding_is_pure(box, scheme):
    before = [array.copy() for array in box]
    plan = scheme.plan(*box)
    points = plan.points.copy()
    values = np.linspace(1.0, 2.0, len(points)).astype(points.dtype)
    with np.errstate(all="ignore"):
        first, second = plan.fold(0.5, values), plan.fold(0.5, values)
        first[:] = 9.0
        np.testing.assert_array_equal(plan.fold(0.5, values), second)
    np.testing.assert_array_equal(values, np.linspace(1.0, 2.0, len(points)))
    np.testing.assert_array_equal(plan.points, points)
    for array, kept in zip(box, before, strict=True):
        np.testing.assert_array_equal(array, kept)
        assert not np.shares_memory(plan.points, array)


# Accuracy.


@dataclass
class Smooth:
    """A sum of a cubic polynomial, sines and exponentials along random directions.

    ``a + b.x + x.Q.x / 2 + sum c (u.x)^3 + sum d sin(w.x) + sum e exp(v.x)``: gradient and the
    bounds of the further derivatives along an axis are known on paper.
    """

    a: float
    b: np.ndarray
    q: np.ndarray
    c: np.ndarray
    u: np.ndarray
    d: np.ndarray
    w: np.ndarray
    e: np.ndarray
    v: np.ndarray

    @classmethod
    def draw(cls, n, seed):
        rng = np.random.default_rng(seed)
        scale = 10.0 ** rng.uniform(-2, 2)
        q = rng.normal(size=(n, n))
        directions = [rng.normal(size=(2, n)) / math.sqrt(n) for _ in range(3)]
        weights = [scale * rng.normal(size=2) for _ in range(3)]
        pairs = [part for pair in zip(weights, directions, strict=True) for part in pair]
        return cls(scale * rng.normal(), rng.normal(size=n), q + q.T, *pairs)

    def __call__(self, x):
        return (
            self.a
            + self.b @ x
            + x @ self.q @ x / 2
            + self.c @ (self.u @ x) ** 3
            + self.d @ np.sin(self.w @ x)
            + self.e @ np.exp(self.v @ x)
        )

    def gradient(self, x):
        return (
            self.b
            + self.q @ x
            + 3 * (self.c * (self.u @ x) ** 2) @ self.u
            + (self.d * np.cos(self.w @ x)) @ self.w
            + (self.e * np.exp(self.v @ x)) @ self.v
        )

    def second(self, x, reach):
        """Bound the second derivatives along the axes within ``reach`` of ``x``."""
        u, w, v = abs(self.u), abs(self.w), abs(self.v)
        return (
            abs(np.diag(self.q))
            + 6 * (abs(self.c)[:, None] * u**2 * (abs(self.u @ x)[:, None] + u * reach)).sum(0)
            + (abs(self.d)[:, None] * w**2).sum(0)
            + (abs(self.e)[:, None] * v**2 * np.exp((self.v @ x)[:, None] + v * reach)).sum(0)
        )

    def third(self, x, reach):
        """Bound the third derivatives along the axes within ``reach`` of ``x``."""
        u, w, v = abs(self.u), abs(self.w), abs(self.v)
        return (
            6 * (abs(self.c)[:, None] * u**3).sum(0)
            + (abs(self.d)[:, None] * w**3).sum(0)
            + (abs(self.e)[:, None] * v**3 * np.exp((self.v @ x)[:, None] + v * reach)).sum(0)
        )

    def magnitude(self, x):
        """Return the sum of the terms' sizes, of which an evaluation rounds away an eps or few.

        A term of an argument t that is a sum itself loses eps |t'| |x| more.
        """
        t = abs(x)
        u, w, v = abs(self.u) @ t, abs(self.w) @ t, abs(self.v) @ t
        return (
            abs(self.a)
            + abs(self.b) @ t
            + t @ abs(self.q) @ t
            + 4 * abs(self.c) @ u**3
            + abs(self.d) @ (1 + w)
            + abs(self.e) @ (np.exp(self.v @ x) * (1 + v))
        )


#: An evaluation's rounding, in units of eps times the size of the terms: each term passes through
#: fewer than so many additions and multiplications.
ROUNDINGS = 16

FUNCTIONS = st.integers(0, 2**32 - 1)
MODERATE = st.floats(-3, 3)
# On the bound, nearer to it than a step, at a distance, or none.
NEARBY = st.one_of(st.just(INF), st.just(0.0), st.floats(1e-9, 1e-4), st.floats(0.1, 5))


def steps_taken(plan, x):
    """Return the smallest and the largest step of each variable's probes."""
    sizes = abs(plan.points - x)
    return np.where(sizes > 0, sizes, INF).min(axis=0, initial=INF), sizes.max(axis=0, initial=0.0)


def finite(h):
    """Return the steps with zero for variables that have no probe."""
    return np.where(np.isfinite(h), h, 0.0)


@given(boxes(MODERATE, NEARBY), FUNCTIONS, differences("2-point"))
@FEW
def test_one_sided_differences_err_by_no_more_than_theory_allows(box, seed, scheme):
    x, lower, upper = box
    fun = Smooth.draw(x.size, seed)
    plan = scheme.plan(x, lower, upper)
    h, _ = steps_taken(plan, x)
    # Taylor: f'' h / 2. Rounding: two values in the difference.
    rounding = ROUNDINGS * EPS * (fun.magnitude(x) + fun.magnitude(abs(x) + finite(h)))
    bound = fun.second(x, finite(h)) * finite(h) / 2 + rounding / h
    error = abs(apply(plan, fun, x) - fun.gradient(x))
    free = lower < upper
    assert (error <= bound + ROUNDINGS * EPS * abs(fun.gradient(x)))[free].all()


@given(boxes(MODERATE, NEARBY), FUNCTIONS, st.sampled_from([None, 1e-4, 1e-2]))
@FEW
def test_central_differences_err_by_no_more_than_theory_allows(box, seed, step):
    x, lower, upper = box
    fun = Smooth.draw(x.size, seed)
    plan = Differences("3-point", step=step).plan(x, lower, upper)
    h, reach = steps_taken(plan, x)
    # Taylor: f''' h^2 / 6 if central, f''' h^2 / 3 if one-sided (probes at h and 2 h).
    # Rounding: (3 + 4 + 1) values over 2 h at most.
    rounding = ROUNDINGS * EPS * (fun.magnitude(x) + fun.magnitude(abs(x) + reach))
    # That the second step is twice the first only up to the rounding of x costs as much more.
    slope = abs(fun.gradient(x)) + fun.second(x, reach) * reach
    skew = 4 * EPS * (abs(x) + reach) * slope
    bound = fun.third(x, reach) * finite(h) ** 2 / 3 + (4 * rounding + skew) / h
    error = abs(apply(plan, fun, x) - fun.gradient(x))
    assert (error <= bound + ROUNDINGS * EPS * abs(fun.gradient(x)))[lower < upper].all()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=4), FUNCTIONS)
@FEW
def test_complex_steps_err_in_the_last_places_only(point, seed):
    x = np.array(point)
    fun = Smooth.draw(x.size, seed)
    plan = Differences("cs").plan(x)
    # Taylor: f''' h^2 / 6 with h^2 = eps. There is no difference that could cancel: what is left
    # is an evaluation's rounding, relative to the size of the gradient's terms.
    terms = fun.second(x, 1.0) + abs(fun.b) + abs(fun.q) @ abs(x) + fun.magnitude(x)
    error = abs(apply(plan, fun, x) - fun.gradient(x))
    assert (error <= EPS * fun.third(x, 0.0) / 6 + ROUNDINGS * EPS * terms).all()


@pytest.mark.parametrize("x", [0.1, 0.5, 1.0, -0.7])
@pytest.mark.parametrize(
    ("fun", "gradient"),
    [(np.exp, np.exp), (np.sin, np.cos), (lambda z: z**3, lambda z: 3 * z**2)],
    ids=["exp", "sin", "cube"],
)
def test_complex_steps_are_right_to_fourteen_digits(fun, gradient, x):
    found = apply(Differences("cs").plan(np.array([x])), lambda z: fun(z)[0], np.array([x]))
    np.testing.assert_allclose(found, gradient(x), rtol=1e-14)


def test_complex_steps_are_right_where_differences_lose_all_digits():
    # exp(x) / (sin(x)^3 + cos(x)^3) at 1.5 with a step of 1e-200: Squire and Trapp's example.
    def fun(z):
        return (np.exp(z) / (np.sin(z) ** 3 + np.cos(z) ** 3))[0]

    x = np.array([1.5])
    gradient = apply(Differences("cs", step=1e-200).plan(x), fun, x)
    np.testing.assert_allclose(gradient, 3.62203370071632842, rtol=1e-15)
    assert apply(Differences("2-point", step=1e-15).plan(x), fun, x) != pytest.approx(
        3.622, rel=0.01
    )


# SciPy as a peer.


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5),
    FUNCTIONS,
    st.floats(1e-12, 1.0) | st.floats(-1.0, -1e-12),
)
@FEW
def test_one_sided_steps_are_scipys_to_the_last_bit(point, seed, step):
    x = np.array(point)
    # A bounded function: exp of a million is none.
    weights = np.random.default_rng(seed).normal(size=x.size)

    def fun(z):
        return float(np.sum(np.sin(weights * z)) + weights @ z)

    ours = apply(Differences(step=step).plan(x), fun, x)
    np.testing.assert_array_equal(ours, approx_fprime(x, fun, step))


def test_steps_for_each_variable_are_scipys_to_the_last_bit():
    x, steps = np.array([1.0, -2.0, 3.0]), np.array([1e-8, 1e-5, -1e-3])
    fun = Smooth.draw(3, 4)
    ours = apply(Differences(step=steps).plan(x), fun, x)
    np.testing.assert_array_equal(ours, approx_fprime(x, fun, steps))
    listed = apply(Differences(step=steps.tolist()).plan(x), fun, x)
    np.testing.assert_array_equal(listed, ours)


class EnoughError(Exception):
    pass


def scipys_probes(x, scheme, bounds):
    """Return the points around ``x`` that SciPy's own gradient evaluates first."""
    seen = []

    def fun(z):
        if len(seen) == 1 + (2 if scheme == "3-point" else 1) * x.size:
            raise EnoughError
        seen.append(z.copy())
        return z @ z

    with contextlib.suppress(EnoughError):
        minimize(fun, x, jac=scheme, method="L-BFGS-B", bounds=bounds)
    # A complex step goes to either side of the real axis; the values are each other's conjugates.
    return np.array([z.real + 1j * abs(z.imag) for z in seen if (z != x).any()])


POINT = np.array([0.0, 1.0, -2.0, 1e6, -1e-9])


# With too little room on both sides SciPy shortens central steps and this package goes to one side;
# its complex step takes no bounds.
@pytest.mark.parametrize(
    ("scheme", "place"),
    [
        *((scheme, "no bounds") for scheme in SCHEMES),
        *((scheme, place) for scheme in REAL for place in ("on lower", "on upper", "near")),
        ("2-point", "between"),
    ],
)
def test_default_steps_and_sides_are_scipys(scheme, place):
    side = {
        "no bounds": (INF, INF),
        "on lower": (0.0, 9.0),
        "on upper": (9.0, 0.0),
        "near": (1e-12, 9.0),
        "between": (1e-9, 2e-9),
    }[place]
    lower, upper = POINT - side[0], POINT + side[1]
    bounds = None if place == "no bounds" else Bounds(lower, upper)
    theirs = scipys_probes(POINT, scheme, bounds)
    ours = Differences(scheme).plan(POINT, lower, upper).points
    assert len(ours) == len(theirs)
    np.testing.assert_array_equal(np.unique(ours, axis=0), np.unique(theirs, axis=0))


# Steps.


@pytest.mark.parametrize("scheme", REAL)
def test_relative_steps_are_relative_and_leave_zero_the_default(scheme):
    x = np.array([0.0, 100.0, -0.01])
    plan = Differences(scheme, relative_step=1e-3).plan(x)
    _, taken = steps_taken(plan, x)
    default = EPS ** (1 / 2 if scheme == "2-point" else 1 / 3)
    np.testing.assert_allclose(taken, [default, 0.1, 1e-5], rtol=1e-9)


def test_relative_steps_may_differ_by_variable():
    x = np.array([10.0, 100.0])
    plan = Differences(relative_step=[0.1, 0.01]).plan(x)
    np.testing.assert_allclose(plan.points, [[11.0, 100.0], [10.0, 101.0]])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_sign_of_a_step_is_the_side(sign):
    x = np.array([1.0, -1.0])
    points = Differences(step=sign * 0.25).plan(x).points
    np.testing.assert_array_equal(points - x, sign * 0.25 * np.eye(2))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_step_that_is_lost_in_rounding_is_replaced(scheme):
    x = np.array([1e10, -1e10])
    for steps in ({"step": 1e-8}, {"relative_step": 1e-17}):
        plan = Differences(scheme, **steps).plan(x)
        assert ((plan.points != x).sum(axis=1) == 1).all()
        fun = np.sum
        np.testing.assert_allclose(apply(plan, fun, x), [1.0, 1.0], rtol=1e-6)


@given(
    boxes(coordinate=st.floats(0.5, 4)),
    st.sampled_from(REAL),
    st.floats(0.125, 4) | st.floats(-4, -0.125),
)
@FEW
def test_steps_at_the_limit_of_rounding_are_still_steps(box, scheme, size):
    x, lower, upper = box
    plan = Differences(scheme, step=size * EPS).plan(x, lower, upper)
    assert ((plan.points != x).sum(axis=1) == 1).all()


@pytest.mark.parametrize("name", ["step", "relative_step"])
@pytest.mark.parametrize(
    "given_step",
    [0, 0.0, [1e-8, 0.0], math.nan, math.inf, [1e-8, -INF], "small", 1j, [1e-8, None], [[1], 2]],
    ids=repr,
)
def test_what_is_no_step_is_an_error(name, given_step):
    with pytest.raises(InvalidInputError, match=f"{name.replace('_', ' ')} is"):
        Differences("2-point", **{name: given_step})


@pytest.mark.parametrize("name", ["step", "relative_step"])
@pytest.mark.parametrize("given_step", [[1e-8, 1e-8], np.full((3, 1), 1e-8), np.full((1, 3), 1e-8)])
def test_steps_for_another_number_of_variables_are_an_error(name, given_step):
    differences = Differences("2-point", **{name: given_step})
    with pytest.raises(InvalidInputError, match=r"steps have shape .*\(3,\)"):
        differences.plan(np.zeros(3))


def test_one_step_in_a_list_is_for_all_variables():
    points = Differences(step=[0.5]).plan(np.zeros(3)).points
    np.testing.assert_array_equal(points, 0.5 * np.eye(3))


@pytest.mark.parametrize("scheme", ["4-point", "forward", None, True, 2])
def test_an_unknown_scheme_is_an_error_that_names_the_known(scheme):
    with pytest.raises(InvalidInputError, match=r"2-point.*3-point.*cs"):
        Differences(scheme)


def test_wrong_steps_are_errors_of_the_public_helper_too():
    with pytest.raises(ValueError, match="step"):
        Optimizer.gradient_num_diff(np.zeros(2), np.sum, 0.0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_variables_need_no_probe(scheme):
    plan = Differences(scheme).plan(np.empty(0))
    assert plan.points.shape == (0, 0)
    assert plan.fold(1.0, np.empty(0)).shape == (0,)


# Richardson extrapolation.


@given(boxes(), st.floats(1e-14, 10) | st.none())
@FEW
def test_extrapolated_probes_stay_inside_move_one_variable_and_are_four_at_most(box, step):
    x, lower, upper = box
    points = Differences("3-point", step=step, richardson=True).plan(x, lower, upper).points
    assert (points >= lower).all()
    assert (points <= upper).all()
    moved = points != x
    np.testing.assert_array_equal(moved.sum(axis=1), 1)
    assert (moved.sum(axis=0)[lower < upper] >= 1).all()
    assert (moved.sum(axis=0) <= 4).all()


@pytest.mark.parametrize("gap", [INF, 0.05, 0.0])
def test_extrapolation_is_exact_for_one_order_more_than_central_differences(gap):
    # Central: up to x^4 exactly; one-sided three points twice: up to x^3.
    x = np.array([1.5])
    power = 4 if gap == INF else 3
    plan = Differences("3-point", step=0.1, richardson=True).plan(x, x - gap, np.array([INF]))
    assert len(plan.points) == 4
    np.testing.assert_allclose(
        apply(plan, lambda z: z[0] ** power, x), power * x ** (power - 1), rtol=1e-12
    )
    plain = apply(Differences("3-point", step=0.1).plan(x), lambda z: z[0] ** power, x)
    assert abs(plain - power * x ** (power - 1)) > 1e-3


@given(st.lists(MODERATE, min_size=1, max_size=4), FUNCTIONS)
@FEW
def test_extrapolated_differences_err_by_no_more_than_theory_allows(point, seed):
    x = np.array(point)
    fun = Smooth.draw(x.size, seed)
    plan = Differences("3-point", richardson=True).plan(x)
    h, reach = steps_taken(plan, x)
    rounding = ROUNDINGS * EPS * (fun.magnitude(x) + fun.magnitude(abs(x) + reach))
    slope = abs(fun.gradient(x)) + fun.second(x, reach) * reach
    # (4 D(h/2) - D(h)) / 3 leaves h^4 f'''''/480; the fifth derivatives along an axis are at most
    # the third times the largest squared direction.
    squares = max((abs(fun.w) ** 2).max(), (abs(fun.v) ** 2).max())
    fifth = squares * fun.third(x, reach)
    bound = reach**4 * fifth / 480 + (3 * rounding + 4 * EPS * (abs(x) + reach) * slope) / h
    error = abs(apply(plan, fun, x) - fun.gradient(x))
    assert (error <= bound + ROUNDINGS * EPS * abs(fun.gradient(x))).all()


def test_extrapolation_is_for_central_differences_only():
    with pytest.raises(InvalidInputError, match="richardson"):
        Differences("2-point", richardson=True)


# Noise.


def test_steps_for_noise_are_those_of_more_and_wild():
    x = np.array([1.0, -2.0])
    one_sided = Differences("2-point", noise=1e-6, curvature=[4.0, 1.0]).plan(x).points - x
    np.testing.assert_allclose(
        np.diag(one_sided), [8**0.25 * np.sqrt(1e-6 / 4), -(8**0.25) * 1e-3], rtol=1e-6
    )
    central = Differences("3-point", noise=1e-6, curvature=3.0).plan(x).points - x
    np.testing.assert_allclose(np.diag(abs(central[:2])), 1e-2, rtol=1e-6)


@pytest.mark.parametrize("kind", ["2-point", "3-point", "richardson"])
def test_the_step_for_noise_is_about_the_best_there_is(kind):
    # exp at 0: all derivatives are 1, as the default supposes.
    rng, noise = np.random.default_rng(3), 1e-6
    x = np.zeros(1)
    extra = {"scheme": "2-point"} if kind == "2-point" else {"scheme": "3-point"}
    extra["richardson"] = kind == "richardson"

    def error(**steps):
        plan = Differences(**extra, **steps).plan(x)
        values = np.exp(plan.points[:, 0]) + noise * rng.normal(size=(400, len(plan.points)))
        starts = 1.0 + noise * rng.normal(size=400)
        found = [plan.fold(f0, v)[0] for f0, v in zip(starts, values, strict=True)]
        return np.sqrt(np.mean((np.array(found) - 1.0) ** 2))

    best = min(error(step=h) for h in np.geomspace(1e-4, 1.0, 41))
    assert error(noise=noise) < 2 * best


def test_a_plan_knows_how_noise_passes_into_the_gradient():
    rng = np.random.default_rng(5)
    x, lower, upper = np.array([0.0, 1.0, 2.0]), np.array([-9.0, 1.0, 0.0]), np.array([9.0, 4, 2])
    for scheme in (
        Differences("2-point", step=0.1),
        Differences("3-point", step=0.1),
        Differences("3-point", step=0.1, richardson=True),
    ):
        plan = scheme.plan(x, lower, upper)
        draws = rng.normal(size=(20000, len(plan.points)))
        found = [plan.fold(f0, v) for f0, v in zip(rng.normal(size=20000), draws, strict=True)]
        # One-sided extrapolation counts the value at the point twice: what is told is no less.
        np.testing.assert_allclose(np.std(found, axis=0), plan.noise, rtol=0.35)
        assert np.std(found, axis=0)[0] == pytest.approx(plan.noise[0], rel=0.03)


CURVED = (Differences("3-point", step=0.1), Differences("3-point", step=0.1, richardson=True))


@pytest.mark.parametrize("scheme", CURVED)
def test_central_differences_tell_the_second_derivatives(scheme):
    x, lower, upper = (
        np.array([0.0, 1.0, 2.0]),
        np.array([-9.0, 1.0, 0.0]),
        np.array([9.0, 4, 2.05]),
    )
    plan = scheme.plan(x, lower, upper)

    def fun(point):
        return 3.0 + point @ [1.0, -2.0, 0.5] + 0.5 * point**2 @ [4.0, 7.0, -1.0]

    found = plan.curvature(fun(x), np.array([fun(point) for point in plan.points]))
    np.testing.assert_allclose(found, [4.0, 7.0, -1.0], atol=1e-10)
    fixed = scheme.plan(x, np.array([0.0, 1.0, 0.0]), np.array([0.0, 4.0, 2.0]))
    values = np.array([fun(point) for point in fixed.points])
    np.testing.assert_allclose(fixed.curvature(fun(x), values), [0.0, 7.0, -1.0], atol=1e-10)
    assert fixed.curvature_noise[0] == 0.0


@pytest.mark.parametrize("scheme", CURVED)
def test_a_plan_knows_how_noise_passes_into_them(scheme):
    rng = np.random.default_rng(6)
    x, lower, upper = np.array([0.0, 1.0]), np.array([-9.0, 1.0]), np.array([9.0, 4])
    plan = scheme.plan(x, lower, upper)
    draws = rng.normal(size=(20000, len(plan.points)))
    found = [plan.curvature(f0, v) for f0, v in zip(rng.normal(size=20000), draws, strict=True)]
    np.testing.assert_allclose(np.std(found, axis=0), plan.curvature_noise, rtol=0.03)


def test_other_schemes_tell_none():
    for scheme in (Differences("2-point"), Differences("cs")):
        plan = scheme.plan(np.array([1.0]))
        assert plan.curvature(0.0, np.zeros(1)) is None
        assert plan.curvature_noise is None


@given(boxes(), differences("3-point"))
@FEW
def test_a_constant_function_has_no_curvature(box, scheme):
    x, lower, upper = box
    plan = scheme.plan(x, lower, upper)
    with np.errstate(all="ignore"):
        found = plan.curvature(3.0, np.full(len(plan.points), 3.0))
    np.testing.assert_array_equal(found, 0.0)


@pytest.mark.parametrize("noise", [0.0, -1.0, math.nan, INF, "much", [1e-6, 1e-6]])
def test_what_is_no_standard_deviation_is_an_error(noise):
    with pytest.raises(InvalidInputError, match="noise"):
        Differences(noise=noise)


@pytest.mark.parametrize(
    ("scheme", "measured"),
    [
        (Differences("2-point"), EPS**0.5),
        (Differences("3-point"), EPS ** (2 / 3)),
        (Differences("3-point", richardson=True), EPS**0.8),
        (Differences("cs"), EPS),
        (Differences("2-point", step=1e-10), EPS / 1e-10),
        (Differences("3-point", step=1e-2), 1e-4),
    ],
)
def test_the_relative_error_is_that_of_a_function_with_derivatives_near_one(scheme, measured):
    assert scheme.relative_error() == pytest.approx(measured)
    error = abs(apply(scheme.plan(np.zeros(1)), lambda z: np.exp(z[0]), np.zeros(1)) - 1.0)[0]
    assert error <= 2 * scheme.relative_error()


def test_schemes_with_equal_steps_are_equal():
    assert Differences(step=[1.0, 2.0]) == Differences(step=np.array([1.0, 2.0]))
    assert Differences(step=[1.0, 2.0]) != Differences(step=1.0)
    assert Differences() != "2-point"


# Failed probes.


@given(boxes(MODERATE, NEARBY), FUNCTIONS, st.sampled_from(["2-point", "3-point"]), st.data())
@FEW
def test_what_is_retried_is_right_or_given_up(box, seed, scheme, data):
    x, lower, upper = box
    fun = Smooth.draw(x.size, seed)
    plan = Differences(scheme, step=1e-4).plan(x, lower, upper)
    f0, values = fun(x), np.array([fun(point) for point in plan.points])
    failed = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), dtype=bool
    )
    values[failed] = np.nan
    again = plan.retry(f0, values)
    if again is None:
        assert failed.any()
        return
    assert (again.points >= lower).all()
    assert (again.points <= upper).all()
    assert scheme == "2-point" or len(again.points) == 0
    gradient = again.fold(f0, np.array([fun(point) for point in again.points]))
    h = abs(np.concatenate([plan.points, again.points]) - x)
    small, reach = np.where(h > 0, h, INF).min(axis=0, initial=INF), h.max(axis=0, initial=0.0)
    rounding = 4 * ROUNDINGS * EPS * (fun.magnitude(x) + fun.magnitude(abs(x) + reach))
    bound = fun.second(x, reach) * reach + rounding / small
    error = abs(gradient - fun.gradient(x))
    slack = ROUNDINGS * EPS * abs(fun.gradient(x))
    assert (error <= bound + slack)[lower < upper].all()
    assert (gradient[lower == upper] == 0).all()


def test_a_failed_forward_probe_is_probed_on_the_other_side():
    x = np.array([1.0, 2.0])
    plan = Differences("2-point", step=0.5).plan(x)
    values = (plan.points**2).sum(axis=1)
    again = plan.retry(5.0, np.array([values[0], np.inf]))
    np.testing.assert_array_equal(again.points, [[1.0, 1.5]])
    # (1.5^2 - 1) / 0.5 and (2^2 - 1.5^2) / 0.5.
    np.testing.assert_allclose(again.fold(5.0, (again.points**2).sum(axis=1)), [2.5, 3.5])
    assert again.retry(5.0, np.array([np.nan])) is None


def test_of_a_central_difference_the_good_side_is_enough_and_costs_nothing():
    x = np.array([1.0, 2.0])
    plan = Differences("3-point", step=0.5).plan(x)
    values = (plan.points**2).sum(axis=1)
    values[3] = np.nan  # the second variable's probe above
    again = plan.retry(5.0, values)
    assert len(again.points) == 0
    np.testing.assert_allclose(again.fold(5.0, np.empty(0)), [2.0, 3.5])
    values[1] = np.nan  # and below
    assert plan.retry(5.0, values) is None


def test_an_extrapolation_falls_back_on_the_steps_that_are_known():
    x = np.array([1.0])
    plan = Differences("3-point", step=0.5, richardson=True).plan(x)
    cubes = (plan.points**3).ravel()
    exact = [3.0]
    np.testing.assert_allclose(plan.fold(1.0, cubes), exact)
    longest = abs(plan.points - x).ravel() == 0.5
    far = plan.retry(1.0, cubes, longest)
    np.testing.assert_allclose(far.fold(1.0, np.empty(0)), 3 + 0.25**2)  # central with h = 1/4
    near = plan.retry(1.0, cubes, ~longest)
    np.testing.assert_allclose(near.fold(1.0, np.empty(0)), 3 + 0.5**2)


def test_no_other_side_is_no_retry():
    x = np.zeros(1)
    plan = Differences("2-point", step=0.5).plan(x, np.zeros(1), np.ones(1))
    assert plan.retry(0.0, np.array([np.nan])) is None
    assert Differences("cs").plan(x).retry(0.0, np.array([np.nan + 0j])) is None


def test_no_failed_probe_leaves_the_gradient_as_it_is():
    x = np.array([1.0, 2.0])
    plan = Differences("3-point").plan(x)
    values = (plan.points**2).sum(axis=1)
    again = plan.retry(5.0, values)
    assert len(again.points) == 0
    np.testing.assert_array_equal(again.fold(5.0, np.empty(0)), plan.fold(5.0, values))
