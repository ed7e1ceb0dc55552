"""SciPy's global methods: SciPy's own runs, under hard budgets, from any evaluator and journal."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import LinearConstraint, NonlinearConstraint

from optimizers import (
    COBYLA,
    DIRECT,
    LBFGSB,
    LM,
    SHGO,
    SLSQP,
    BasinHopping,
    CapabilityError,
    DifferentialEvolution,
    DualAnnealing,
    InvalidInputError,
    OptimizerWarning,
    OptionError,
    SciPyOptimizer,
    StopReason,
    TellData,
    UnknownOptionError,
    available,
    find,
    minimize,
    vectorized,
)

# NLopt requires what its method does.
BOXED = sorted(available(global_search=True, bounds="required").keys() - {"NLopt"})
BOX = [(-5.12, 5.0)] * 3
START = [3.0, 4.0, 1.0]


class Hills:
    """Rastrigin's function, tilted; it keeps the points."""

    def __init__(self):
        self.points = []

    def __call__(self, x):
        self.points.append(np.array(x))
        return float(np.sum(10 + (x - 0.1) ** 2 - 10 * np.cos(2 * np.pi * x)))


def generation(function, points):
    return list(map(function, points))


def numbers():
    return np.random.default_rng(5)


DEFERRED = {"updating": "deferred", "workers": generation}
#: An optimizer, its start, and SciPy's function with the same.
SIDE_BY_SIDE = {
    "evolution": (
        DifferentialEvolution(maxiter=30, seed=5),
        START,
        lambda fun: scipy.optimize.differential_evolution(
            fun, BOX, x0=START, rng=numbers(), maxiter=30, **DEFERRED
        ),
    ),
    "evolution without a start": (
        DifferentialEvolution("rand1exp", popsize=4, mutation=0.7, init="sobol", seed=5),
        None,
        lambda fun: scipy.optimize.differential_evolution(
            fun, BOX, strategy="rand1exp", popsize=4, mutation=0.7, init="sobol",
            rng=numbers(), **DEFERRED
        ),
    ),
    "evolution one by one": (
        DifferentialEvolution(updating="immediate", maxiter=20, polish=False, seed=5),
        None,
        lambda fun: scipy.optimize.differential_evolution(
            fun, BOX, rng=numbers(), maxiter=20, polish=False
        ),
    ),
    "annealing": (
        DualAnnealing(maxiter=60, visit=2.5, seed=5),
        START,
        lambda fun: scipy.optimize.dual_annealing(
            fun, BOX, x0=START, maxiter=60, visit=2.5, rng=numbers()
        ),
    ),
    "annealing alone": (
        DualAnnealing(maxiter=60, no_local_search=True, seed=5),
        None,
        lambda fun: scipy.optimize.dual_annealing(
            fun, BOX, maxiter=60, no_local_search=True, rng=numbers()
        ),
    ),
    "direct": (DIRECT(), None, lambda fun: scipy.optimize.direct(fun, BOX)),
    "direct without bias": (
        DIRECT(locally_biased=False, vol_tol=1e-8),
        None,
        lambda fun: scipy.optimize.direct(fun, BOX, locally_biased=False, vol_tol=1e-8),
    ),
    "shgo": (SHGO(), None, lambda fun: scipy.optimize.shgo(fun, BOX)),
    "shgo sobol": (
        SHGO(n=32, iters=2, sampling_method="sobol"),
        None,
        lambda fun: scipy.optimize.shgo(fun, BOX, n=32, iters=2, sampling_method="sobol"),
    ),
    "hopping": (
        BasinHopping(niter=5, local=SciPyOptimizer("COBYLA"), seed=5),
        START,
        lambda fun: scipy.optimize.basinhopping(
            fun, START, niter=5, rng=numbers(), minimizer_kwargs={"method": "COBYLA"}
        ),
    ),
}  # fmt: skip
OPTIMIZERS = pytest.mark.parametrize(
    ("optimizer", "x0"), [row[:2] for row in SIDE_BY_SIDE.values()], ids=SIDE_BY_SIDE
)


@pytest.mark.parametrize(("optimizer", "x0", "scipys"), SIDE_BY_SIDE.values(), ids=SIDE_BY_SIDE)
def test_a_run_is_scipys_own_with_the_same_random_numbers(optimizer, x0, scipys):
    mine, its = Hills(), Hills()
    # At bounds, COBYLA is not quite SciPy's: its points are inside of them.
    box = None if isinstance(optimizer, BasinHopping) else BOX
    result, expected = optimizer.minimize(mine, x0, bounds=box), scipys(its)
    assert np.array_equal(mine.points, its.points)
    assert result.nfev == expected.nfev == len(mine.points)
    # SciPy's end may be above a probe of a difference beside it.
    assert np.allclose(result.x, expected.x, atol=1e-7)
    assert result.fun == result.best.fun <= expected.fun


@pytest.mark.parametrize("maxfun", [1, 7, 23])
@OPTIMIZERS
def test_a_budget_is_hard_and_leaves_the_best_point(optimizer, x0, maxfun):
    hills = Hills()
    result = optimizer.minimize(hills, x0, bounds=BOX, maxfun=maxfun)
    assert (len(hills.points), result.nfev, result.stop) == (maxfun, maxfun, StopReason.MAXFUN)
    assert not result.success
    assert result.fun == min(map(Hills(), hills.points))


@OPTIMIZERS
def test_one_seed_gives_one_run_whoever_evaluates(optimizer, x0, tmp_path):
    given = {"bounds": BOX, "maxfun": 130}
    expected = optimizer.minimize(Hills(), x0, **given)
    with ThreadPoolExecutor(4) as pool:
        runs = [optimizer.minimize(Hills(), x0, workers=pool, **given)]
    stepper = optimizer.stepper(x0, **given)
    for ask in stepper:
        stepper.tell(ask, TellData([Hills()(x) for x in ask.x_fun]))
    runs.append(stepper.result())
    if x0 is not None:
        stack = vectorized(lambda points: [Hills()(x) for x in points])
        runs.append(optimizer.minimize_many(stack, [x0, x0], **given)[0])
    path = tmp_path / "run.jsonl"
    optimizer.minimize(Hills(), x0, journal=path, **given)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))
    hills = Hills()
    runs.append(optimizer.minimize(hills, x0, journal=path, **given))
    assert 0 < len(hills.points) < expected.nfev
    for run in runs:
        assert np.array_equal(run.x, expected.x)
        assert (run.nfev, run.stop) == (expected.nfev, expected.stop)


def test_a_stepper_without_a_start_is_repeated_from_its_state():
    optimizer = DifferentialEvolution(popsize=4, seed=5)
    stepper = optimizer.stepper(None, bounds=BOX)
    first = stepper.ask()
    stepper.tell(first, TellData([Hills()(x) for x in first.x_fun]))
    again = pickle.loads(pickle.dumps(stepper))
    assert np.array_equal(again.ask().x_fun, stepper.ask().x_fun)


def waves_of(optimizer, x0=None, **given):
    waves = []

    @vectorized
    def fun(points):
        waves.append(len(points))
        return [Hills()(x) for x in points]

    optimizer.minimize(fun, x0, bounds=BOX, **given)
    return waves


def test_a_generation_is_a_wave():
    assert set(waves_of(DifferentialEvolution(popsize=4, maxiter=5, polish=False))) == {12}


def test_the_points_of_shgo_are_a_wave_also_with_constraints():
    optimizer = SHGO(n=32, sampling_method="sobol")
    whole = waves_of(optimizer)[0]
    half = waves_of(optimizer, constraints=LinearConstraint([[1, 0, 0]], 0))[0]
    assert 24 < whole <= 32
    assert 8 < half < 24


def test_the_local_searches_of_hops_are_in_waves():
    assert set(waves_of(BasinHopping(niter=2), START)) == {4}


def test_annealing_finds_the_lowest_of_rastrigins_minima():
    def rastrigin(x):
        return float(np.sum(10 + x**2 - 10 * np.cos(2 * np.pi * x)))

    box = [(-5.12, 5.12)] * 6
    result = DualAnnealing(seed=1).minimize(rastrigin, None, bounds=box, f_target=1e-8)
    assert result.success
    assert result.stop is StopReason.TARGET
    assert result.fun <= 1e-8


def test_what_ends_by_its_iterations_is_no_success():
    for optimizer, x0 in (
        (DualAnnealing(maxiter=3), START),
        (DIRECT(maxiter=2), None),
        (BasinHopping(niter=1), START),
    ):
        result = optimizer.minimize(Hills(), x0, bounds=BOX)
        assert (result.success, result.stop) == (False, StopReason.MAXITER)
        assert result.status


def test_hops_that_find_nothing_lower_have_converged():
    result = BasinHopping(niter=50, niter_success=3, seed=1).minimize(lambda x: x @ x, START)
    assert (result.success, result.stop) == (True, StopReason.CONVERGED)
    assert result.nit < 50


# What they take.


def disk(x):
    return x[0] ** 2 + x[1] ** 2


# SciPy's of trust-constr, which polishes.
@pytest.mark.filterwarnings("ignore:delta_grad")
@pytest.mark.parametrize(
    "constraint",
    [NonlinearConstraint(disk, 4, np.inf), {"type": "ineq", "fun": lambda x: disk(x) - 4}],
    ids=["object", "dict"],
)
@pytest.mark.parametrize(
    "optimizer",
    [DifferentialEvolution(seed=3, popsize=8), SHGO(n=64, sampling_method="sobol")],
    ids=["DifferentialEvolution", "SHGO"],
)
def test_constraints_are_met(optimizer, constraint):
    # The nearest point to (0.5, 0) outside of the disk of radius 2 is (2, 0).
    result = optimizer.minimize(
        lambda x: (x[0] - 0.5) ** 2 + x[1] ** 2, None, bounds=[(-3, 3)] * 2, constraints=constraint
    )
    assert result.success
    assert np.allclose(result.x, [2, 0], atol=1e-3)


def test_where_nothing_is_feasible_the_run_fails():
    never = NonlinearConstraint(lambda x: x[0], 100, np.inf)
    optimizer = SHGO(n=16, sampling_method="sobol")
    result = optimizer.minimize(Hills(), None, bounds=BOX, constraints=never)
    assert not result.success


@pytest.mark.parametrize("name", BOXED)
def test_the_box_must_be_finite(name):
    optimizer, hills = available()[name](), Hills()
    with pytest.raises(CapabilityError, match=f"{name} requires bounds"):
        optimizer.minimize(hills, None)
    with pytest.raises(InvalidInputError, match=r"x0 is None and bounds is .*: pass finite"):
        optimizer.minimize(hills, None, bounds=[(0, 1), (None, 1)])
    if optimizer.initial_point_support_level == 2:
        with pytest.raises(InvalidInputError, match=r"bounds\[1\] is \(-inf, 1.0\): pass finite"):
            optimizer.minimize(hills, [0, 0], bounds=[(0, 1), (None, 1)])
    assert not hills.points


@pytest.mark.parametrize("cls", [DIRECT, SHGO])
def test_a_start_that_is_ignored_is_told(cls):
    with pytest.warns(OptimizerWarning, match="ignores x0"):
        plain = cls().minimize(Hills(), START, bounds=BOX, maxfun=30)
    assert np.array_equal(plain.x, cls().minimize(Hills(), None, bounds=BOX, maxfun=30).x)
    # Of a structure the names are used.
    named = {"a": 0.0, "b": 0.0, "c": 0.0}
    fun = Hills()
    found = cls().minimize(
        lambda at: fun(np.array([*at.values()])),
        named,
        bounds=dict.fromkeys(named, BOX[0]),
        maxfun=30,
    )
    assert [*found.x.values()] == plain.x.tolist()


def test_known_points_are_free_and_the_best_is_a_start_where_that_is_used():
    x = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    known, fun = (x, [Hills()(row) for row in x]), Hills()
    DualAnnealing(seed=1).minimize(fun, None, bounds=BOX, known=known, maxfun=5)
    alone = Hills()
    DualAnnealing(seed=1).minimize(alone, x[0], bounds=BOX, maxfun=6)
    assert np.array_equal(fun.points, alone.points[1:])
    for result in (
        DIRECT().minimize(Hills(), None, bounds=BOX, known=known, maxfun=5),
        minimize(Hills(), None, method="direct", bounds=BOX, known=known, maxfun=5),
    ):
        assert (result.nfev, result.stop) == (5, StopReason.MAXFUN)


def test_a_start_on_a_bound_stays_inside_where_scipys_scaling_rounds():
    box = [(0.431553794602989, 1.0)]  # SciPy itself says that 1.0 is outside of it
    hills = Hills()
    DifferentialEvolution(seed=1).minimize(hills, [1.0], bounds=box, maxfun=1)
    assert hills.points[0] == pytest.approx([1.0], abs=1e-14)


def test_where_a_start_is_required_none_is_an_error():
    with pytest.raises(CapabilityError, match="LBFGSB requires x0"):
        LBFGSB().minimize(Hills(), None, bounds=BOX)


def test_the_middle_of_any_bounds_is_the_start_that_is_not_given():
    for bounds in (scipy.optimize.Bounds([0, 0], [1, 2]), np.array([[0, 1], [0, 2]])):
        hills = Hills()
        DIRECT().minimize(hills, None, bounds=bounds, maxfun=1)
        assert hills.points[0] == pytest.approx([0.5, 1])


@pytest.mark.parametrize("name", BOXED)
def test_a_variable_without_room_stays_where_it_is(name):
    box = [(-2, 1.5), (0.25, 0.25), (-1, 1)]
    result = available()[name](seed=1).minimize(Hills(), None, bounds=box, maxfun=200)
    assert result.x[1] == 0.25
    if name == "SHGO":
        assert result.xl.shape[1] == 3


def test_options_are_checked():
    for wrong in (
        {"strategy": "best"},
        {"mutation": 2.5},
        {"mutation": (0.1, 0.2, 0.3)},
        {"init": "random1"},
        {"recombination": 2},
        {"popsize": 0},
        {"updating": "later"},
    ):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            DifferentialEvolution(**wrong)
    with pytest.raises(UnknownOptionError, match="DualAnnealing has no argument 'tol'"):
        DualAnnealing(tol=1e-3)
    with pytest.raises(OptionError, match=r"local is .*LBFGSB.*expected an Optimizer"):
        BasinHopping(local=LBFGSB)
    with pytest.raises(OptionError, match="requires residuals"):
        BasinHopping(local=LM())
    with pytest.raises(
        InvalidInputError, match="SciPy's differential_evolution failed with an option"
    ):
        DifferentialEvolution(init=[[0.0] * 3] * 2).minimize(Hills(), None, bounds=BOX)


# Basin hopping.


def test_hops_have_the_abilities_of_their_local_search():
    assert BasinHopping(local=COBYLA()).is_gradient_ignored
    assert BasinHopping(local=SLSQP()).get_support_level()["constraints"] == 2
    assert BasinHopping().get_support_level() == LBFGSB().get_support_level()


def test_the_local_search_gets_gradients_and_constraints():
    calls = []

    def slope(x):
        calls.append(x)
        return 2 * (x - [0.5, 0])

    constraint = {"type": "ineq", "fun": lambda x: disk(x) - 4}
    result = BasinHopping(niter=3, local=SLSQP(), seed=1).minimize(
        lambda x: (x[0] - 0.5) ** 2 + x[1] ** 2, [1.0, 2.0], slope, constraints=constraint
    )
    assert np.allclose(result.x, [2, 0], atol=1e-4)
    assert result.njev == len(calls) > 0


def test_limits_of_the_local_search_are_for_each_hop():
    result = BasinHopping(niter=4, local=LBFGSB(maxfun=8), seed=1).minimize(Hills(), START)
    assert (result.nit, result.nfev) == (5, 40)


def test_values_of_single_precision_get_wide_differences():
    def fun(x):
        return np.float32(np.sum((x - 1) ** 2))

    assert np.allclose(BasinHopping(niter=2, seed=1).minimize(fun, START).x, 1, atol=1e-2)


def test_noise_is_the_local_searchs():
    seen = np.random.default_rng(3)

    def noisy(x):
        return float(np.sum((x - 1) ** 2)) + 1e-3 * seen.normal()

    result = BasinHopping(niter=1, seed=1).minimize(noisy, START, noise=1e-3)
    assert np.allclose(result.x, 1, atol=0.2)
    with pytest.warns(OptimizerWarning, match="COBYLA uses no finite differences") as told:
        BasinHopping(niter=2, local=COBYLA(), seed=1).minimize(noisy, START, noise=1e-3)
    assert len(told) == 1


def test_settings_with_a_local_search_rebuild_an_equal_object():
    optimizer = BasinHopping(local=COBYLA(rhobeg=0.5))
    assert BasinHopping(**optimizer.settings) == optimizer
    assert BasinHopping(local=COBYLA()) != optimizer


# Names.


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("differential_evolution", DifferentialEvolution),
        ("dual-annealing", DualAnnealing),
        ("direct", DIRECT),
        ("SHGO", SHGO),
        ("basinhopping", BasinHopping),
    ],
)
def test_scipys_names_find_them(name, cls):
    assert find(name) is cls
    start = None if cls in (DIRECT, SHGO) else START
    result = minimize(Hills(), start, method=name, bounds=BOX, maxfun=40, seed=1)
    assert result.nfev <= 40
    json.dumps(result.to_dict())
