"""maximize=True: everything is in the user's sign."""

import asyncio
import copy
import io
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, rosen, rosen_der, rosen_hess, rosen_hess_prod

from optimizers import (
    DFOTR,
    LBFGSB,
    LM,
    NELDER_MEAD,
    P_BFGS,
    TNC,
    Differences,
    History,
    InvalidInputError,
    InvalidValueError,
    NonFiniteValueError,
    OptionError,
    Progress,
    SteppableOptimizer,
    StopReason,
    TellData,
    available,
    error_bars,
    load,
    minimize,
    multistart,
    plot_convergence,
    plots,
    race,
    residuals,
    vectorized,
)
from optimizers.cli import main

START = [1.3, 0.7]
NEEDS = ("gradient", "bounds", "hessian", "residuals")
NEEDY = [available(**{what: "required"}) for what in NEEDS]
PLAIN = sorted(available().keys() - {"QNG", "QNSPSA"}.union(*NEEDY))


def hill(x):
    return 5.0 - float((x - 0.3) @ (x - 0.3))


def slope(x):
    return -2 * (x - 0.3)


def falling(x):
    return -rosen_der(x)


@pytest.mark.parametrize("name", PLAIN)
def test_a_run_is_that_of_the_negated_function_with_the_users_sign(name):
    settings = {"seed": 1, "maxfun": 60, "noise": 0}
    seen, mirrored = History(), History()
    cls = available()[name]
    up = cls().minimize(hill, START, maximize=True, callback=seen, **settings)
    down = cls().minimize(lambda x: -hill(x), START, callback=mirrored, **settings)
    assert (up.nfev, up.nit, up.success, up.stop) == (down.nfev, down.nit, down.success, down.stop)
    assert np.array_equal(up.x, down.x)
    assert (up.fun, up.best.fun) == (-down.fun, -down.best.fun)
    assert np.array_equal(seen.fun, -mirrored.fun, equal_nan=True)
    if down.jac is not None:
        assert np.array_equal(up.jac, -down.jac)


@pytest.mark.parametrize(
    ("name", "further"),
    [
        ("LBFGSB", {"jac": slope}),
        ("LBFGSB", {"jac": "3-point"}),
        ("LBFGSB", {"jac": Differences("cs")}),
        (
            "NewtonCG",
            {"jac": lambda x: -rosen_der(x), "hessp": lambda x, p: -rosen_hess_prod(x, p)},
        ),
        ("TrustExact", {"jac": lambda x: -rosen_der(x), "hess": lambda x: -rosen_hess(x)}),
        ("SLSQP", {"jac": slope, "constraints": LinearConstraint([[1, 1]], 0.6, 0.6)}),
    ],
)
def test_derivatives_have_the_sign_of_the_function(name, further):
    def wavy(x):
        return 5.0 - ((x - 0.3) ** 2).sum()

    fun = (lambda x: -rosen(x)) if name in ("NewtonCG", "TrustExact") else wavy
    result = available()[name]().minimize(fun, START, maximize=True, **further)
    assert result.success
    assert result.x == pytest.approx([1, 1] if fun is not wavy else [0.3, 0.3], abs=1e-4)


def test_the_own_entries_of_methods_have_the_sign_of_the_function():
    def peak(x):
        return -rosen(x)

    def steep(x):
        return -rosen_der(x)

    def bent(x):
        return -rosen_hess(x)

    states = []
    settings = {
        "maximize": True,
        "callback": lambda intermediate_result: states.append(intermediate_result),
    }
    found = minimize(peak, START, method="dogleg", jac=steep, hess=bent, maximize=True)
    assert found.hess == pytest.approx(bent(found.x))
    found = minimize(peak, START, method="Nelder-Mead", maxiter=5, maximize=True)
    assert [peak(x) for x in found.final_simplex[0]] == pytest.approx(found.final_simplex[1])
    found = minimize(peak, START, method="trust-constr", jac=steep, maxiter=5, **settings)
    for state in (found, states[-1]):
        assert state.grad == pytest.approx(steep(state.x))
        assert state.jac == pytest.approx(steep(state.x))


@pytest.mark.parametrize("jac", [None, lambda x: -rosen_der(x)])
def test_the_runs_of_p_bfgs_have_the_sign_of_the_function(jac):
    seen = History()
    optimizer = P_BFGS(max_processes=2, seed=1, callback=seen)
    found = optimizer.minimize(lambda x: -rosen(x), START, jac, maximize=True)
    assert found.fun == found.results.best.fun == pytest.approx(0, abs=1e-8)
    for run in found.results:
        assert run.maximize
        assert run.fun == -rosen(run.x) == run.best.fun
        assert run.jac == pytest.approx(-rosen_der(run.x), abs=1e-3)
    assert max(fun for fun in seen.fun if fun is not None) == found.fun
    mirrored = P_BFGS(max_processes=2, seed=1).minimize(rosen, START, jac and rosen_der)
    assert np.array_equal(mirrored.x, found.x)


def test_values_come_in_every_form():
    up = LBFGSB(maximize=True)
    assert up.minimize(lambda x: (hill(x), slope(x)), START, jac=True).fun == pytest.approx(5.0)
    stacked = vectorized(lambda points: 5.0 - ((points - 0.3) ** 2).sum(axis=1))
    assert up.minimize(stacked, START).fun == pytest.approx(5.0)
    told = vectorized(lambda points: (stacked(points), np.full(len(points), 1e-9)))
    assert up.minimize(told, START).fun == pytest.approx(5.0)
    assert up.minimize(lambda x: (hill(x), 1e-9), START).fun == pytest.approx(5.0)
    assert up.minimize(lambda x: np.array(hill(x)), START).fun == pytest.approx(5.0)

    async def awaited(x):
        return hill(x)

    assert asyncio.run(up.minimize_async(awaited, START)).fun == pytest.approx(5.0)
    assert minimize(hill, START, maximize=True, workers=2).fun == pytest.approx(5.0)


@pytest.mark.parametrize("kind", [bool, np.bool_, np.uint8, np.uint64, np.int8, int])
def test_values_without_a_negative_of_their_own_kind_are_maximized(kind):
    lowest = np.iinfo(kind).min if kind is np.int8 else 0
    found = NELDER_MEAD(maxfun=20).minimize(lambda x: kind(x[0] > 1.35), START, maximize=True)
    assert (found.fun, found.x[0] > 1.35) == (1.0, True)
    found = NELDER_MEAD(maxfun=3).minimize(lambda x: kind(lowest), START, maximize=True)
    assert (found.fun, np.signbit(found.fun)) == (lowest, lowest < 0)
    stacked = vectorized(lambda points: (points[:, 0] > 1.35).astype(kind))
    found = NELDER_MEAD(maxfun=20).minimize(stacked, START, maximize=True)
    assert (found.fun, found.x[0] > 1.35) == (1.0, True)


def test_a_tuple_of_values_is_told_from_values_and_errors():
    waves = []

    def stacked(points):
        waves.append(len(points))
        return tuple(map(hill, points))

    found = DFOTR(maxfun=40, batch_size=2, seed=1).minimize(
        vectorized(stacked), START, maximize=True
    )
    assert 2 in waves
    assert found.fun == hill(found.x) <= 5.0

    def pairs(points):
        return tuple((hill(x), 1e-9) for x in points)

    found = DFOTR(maxfun=40, batch_size=3, seed=1).minimize(vectorized(pairs), START, maximize=True)
    assert found.fun == hill(found.x)


@pytest.mark.parametrize("group", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["values", "arrays", "list of pairs"])
def test_a_flat_group_tells_values_and_errors_in_every_form(group, kind):
    def told(x):
        values = tuple(map(hill, x.reshape(-1, 2)))
        if kind == "values":
            return values if len(values) > 1 else values[0]
        errors = [1e-9] * len(values)
        if kind == "arrays":
            return np.array(values), np.array(errors)
        return [*zip(values, errors, strict=True)]

    found = LBFGSB(max_evals_grouped=group, noise=0).minimize(told, START, maximize=True)
    assert found.fun == hill(found.x) == pytest.approx(5.0)


@pytest.mark.parametrize("maximize", [False, True])
def test_two_tuples_for_two_points_are_an_error(maximize):
    def told(x):
        return tuple((hill(point), 1e-9) for point in x.reshape(-1, 2))

    optimizer = LBFGSB(max_evals_grouped=2)
    with pytest.raises(InvalidValueError, match="two values and two errors, or"):
        optimizer.minimize(told, START, maximize=maximize)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("method", ["BFGS", "Nelder-Mead", "NoisyLBFGSB"])
def test_an_infinite_value_is_named_as_it_was_returned(value, method):
    for fun in (lambda x: value, vectorized(lambda points: np.full(len(points), value))):
        with pytest.raises(NonFiniteValueError, match=f"fun returned {value},"):
            minimize(fun, START, method=method, maximize=True)


@pytest.mark.parametrize("raw", [["a"], [[1.0], [1.0, 2.0]], [None]])
def test_what_is_not_a_number_is_named(raw):
    with pytest.raises(InvalidValueError, match="fun returned"):
        NELDER_MEAD().minimize(lambda x: raw, START, maximize=True)


@pytest.mark.parametrize("further", [{}, {"scale": "gradient"}, {"jac": "both"}])
def test_the_start_may_be_a_structure(further):
    def both(p):
        x = np.array([p["a"], p["b"]])
        return hill(x), dict(zip("ab", slope(x), strict=True))

    given = {**further, "jac": True} if "jac" in further else further
    fun = both if "jac" in further else lambda p: both(p)[0]
    states = []
    settings = {
        "maximize": True,
        "callback": lambda intermediate_result: states.append(intermediate_result),
        **given,
    }
    result = LBFGSB().minimize(fun, {"a": 1.3, "b": 0.7}, **settings)
    assert result.fun == states[-1].fun == both(result.x)[0]
    assert result.fun == pytest.approx(5.0)
    assert result.x["a"] == pytest.approx(0.3, abs=1e-4)


def test_a_target_is_at_least_that():
    result = minimize(hill, START, maximize=True, f_target=4.5)
    assert result.stop is StopReason.TARGET
    assert result.fun >= 4.5


def test_an_error_has_the_result_in_the_users_sign():
    count = itertools.count()

    def failing(x):
        if next(count) > 10:
            raise ZeroDivisionError
        return hill(x)

    with pytest.raises(ZeroDivisionError) as caught:
        minimize(failing, START, maximize=True, method="Nelder-Mead")
    result = caught.value.optimizer_result
    assert result.fun == hill(result.x)
    assert any(f"best f(x) = {result.fun!r}" in note for note in caught.value.__notes__)


def test_a_journal_is_read_in_the_users_sign_and_goes_on(tmp_path):
    path = tmp_path / "run.jsonl"
    first = LBFGSB().minimize(hill, START, maximize=True, journal=path, maxfun=4)
    recording = load(path)
    assert np.array_equal(recording.values, [hill(x) for x in recording.points])
    assert recording.result.fun == first.fun == hill(first.x)
    again = LBFGSB().minimize(hill, START, maximize=True, journal=path)
    assert again.nreplayed == 4
    assert again.fun == pytest.approx(5.0)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    killed = load(path)
    assert killed.result.fun == max(killed.values)


@residuals
def misses(x):
    return x - 0.3


@pytest.mark.parametrize(
    "run",
    [
        lambda: minimize(misses, START, maximize=True),
        lambda: LM(maximize=True).stepper(START),
        lambda: LM().minimize_many(misses, [START], maximize=True),
        lambda: race([LM()], misses, START, maximize=True),
        lambda: multistart(misses, [(0, 1)] * 2, 100, maximize=True),
    ],
)
def test_residuals_cannot_be_maximized(run):
    with pytest.raises(InvalidInputError, match="can only be minimized"):
        run()


def test_a_race_is_to_one_side():
    with pytest.raises(OptionError, match="LBFGSB was made with maximize: pass it to race"):
        race([LBFGSB(maximize=True)], hill, START)


# Many runs.


def hills(x):  # four maxima, the highest at (1, 1)
    return 3.0 - float(((x**2 - 1) ** 2 - 0.1 * x).sum())


STARTS = [[-0.9, -1.2], [0.8, 1.3], [1.2, -0.7]]


class Heard:
    """Keeps what a callback is told of."""

    def __init__(self):
        self.states, self.evaluated = [], []

    def __call__(self, intermediate_result):
        self.states.append(intermediate_result)

    def on_evaluation(self, evaluated):
        self.evaluated.append(evaluated)


def is_hills(heard):
    """Return whether all that was heard has the sign of the function that was maximized."""
    best = [e.best for e in heard.evaluated]
    return (
        all(e.fun == hills(e.x) and e.maximize for e in heard.evaluated)
        and all(state.fun == hills(state.x) for state in heard.states)
        and best == np.maximum.accumulate([e.fun for e in heard.evaluated]).tolist()
        and len(heard.states) > 0
    )


def test_many_runs_maximize():
    heard = Heard()
    up = LBFGSB(callback=heard).minimize_many(hills, STARTS, maximize=True)
    down = LBFGSB().minimize_many(lambda x: -hills(x), STARTS)
    assert [run.fun for run in up] == [-run.fun for run in down]
    assert (up.nfev, up.rounds) == (down.nfev, down.rounds)
    assert up.best is up[1]
    assert up.best.maximize
    assert "maximize" not in down.best
    assert is_hills(heard)
    reached = LBFGSB().minimize_many(hills, STARTS, maximize=True, f_target=3.1)
    assert [run.stop is StopReason.TARGET for run in reached] == [False, True, False]


def test_what_ends_many_runs_has_the_highest_value_so_far():
    count = itertools.count()

    def failing(x):
        if next(count) > 20:
            raise KeyboardInterrupt
        return hills(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        LBFGSB().minimize_many(failing, STARTS, maximize=True)
    assert caught.value.optimizer_result is caught.value.optimizer_results.best
    highest = max(run.best.fun for run in caught.value.optimizer_results)
    assert caught.value.optimizer_result.best.fun == highest


@pytest.mark.parametrize("start", [None, {"a": 1.0, "b": 1.0}])
def test_multistart_finds_maxima(start):
    def fun(p):
        return hills(p if start is None else np.array([p["a"], p["b"]]))

    settings = {"maximize": True, "seed": 1, "x0": start}
    bounds = [(-2, 2)] * 2 if start is None else {"a": (-2, 2), "b": (-2, 2)}
    found = multistart(fun, bounds, 5000, **settings)
    values = [maximum.fun for maximum in found.minima]
    assert values == pytest.approx([3.2012, 3.0013, 3.0013, 2.8013], abs=1e-4)
    assert found.best.fun == values[0] == fun(found.best.x)
    assert found.minima[0].fun == fun(found.minima[0].x)


def test_a_race_maximizes():
    def both(x):
        return hill(x), slope(x)

    found = race([LBFGSB(), NELDER_MEAD(maxiter=3), TNC()], hill, START, slope, maximize=True)
    assert found["LBFGSB"].fun == hill(found["LBFGSB"].x)
    assert found["NELDER_MEAD"].fun < found.best.fun == pytest.approx(5.0)
    assert found.winner in ("LBFGSB", "TNC")
    joint = race([LBFGSB(), NELDER_MEAD()], both, START, True, maximize=True)
    assert joint["LBFGSB"].jac == pytest.approx([0, 0], abs=1e-4)
    assert joint["NELDER_MEAD"].fun == pytest.approx(5.0)


@pytest.mark.parametrize(
    "run",
    [
        lambda fun, settings: LBFGSB().minimize_many(fun, STARTS, **settings),
        lambda fun, settings: race([LBFGSB(), NELDER_MEAD()], fun, START, **settings),
        lambda fun, settings: multistart(fun, [(-2, 2)] * 2, 300, slots=4, seed=1, **settings),
    ],
)
@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_journals_of_many_runs_are_in_the_users_sign_and_go_on(tmp_path, run, name):
    count = itertools.count()

    def failing(x):
        if next(count) == 25:
            raise KeyboardInterrupt
        return hills(x)

    settings = {"maximize": True, "journal": tmp_path / name, "journal_check": "off"}
    with pytest.raises(KeyboardInterrupt):
        run(failing, settings)
    recording = load(tmp_path / name)
    assert recording.values.tolist() == [hills(x) for x in recording.points]
    assert recording.result.fun == max(recording.values)
    again, plain = run(hills, settings), run(hills, {"maximize": True})
    assert again.best.fun == plain.best.fun > 3
    whole = load(tmp_path / name)
    assert whole.result.fun == again.best.fun
    assert whole.values.tolist() == [hills(x) for x in whole.points]


# Asking and telling.


@pytest.mark.parametrize("name", ["LBFGSB", "NELDER_MEAD", "SPSA", "NoisyLBFGSB"])
@pytest.mark.parametrize("form", ["values", "errors", "gradients"])
def test_a_stepper_is_told_and_tells_the_users_sign(name, form):
    cls = available()[name]
    jac = True if form == "gradients" and not cls().is_gradient_ignored else None
    settings = {"seed": 1, "maxfun": 60, "noise": 0}
    steppers = [
        cls(maximize=sign > 0, **settings).stepper(START, jac, [(-3, 3)] * 2) for sign in (1, -1)
    ]
    for sign, stepper in zip((1, -1), steppers, strict=True):
        for ask in stepper:
            values = [sign * hill(x) for x in ask.x_fun]
            told = (values, [1e-9] * len(values)) if form == "errors" else values
            gradients = None if ask.x_jac is None else [sign * slope(x) for x in ask.x_jac]
            stepper.tell(ask, TellData(told, gradients))
            state = stepper.state
            assert state.fun is None or sign * state.fun == hill(state.x)
            assert sign * stepper.best.fun == hill(stepper.best.x)
    up, down = (stepper.result() for stepper in steppers)
    assert (up.fun, up.best.fun, up.nfev) == (-down.fun, -down.best.fun, down.nfev)
    assert np.array_equal(up.x, down.x)
    assert (up.jac is None) == (down.jac is None)
    if up.jac is not None:
        assert np.array_equal(up.jac, -down.jac)


def test_a_stepper_that_maximizes_is_copied_and_goes_on():
    stepper = LBFGSB(maximize=True).stepper(START)
    for _ in range(3):
        ask = stepper.ask()
        stepper.tell(ask, TellData([hill(x) for x in ask.x_fun]))
    twins = [stepper, copy.deepcopy(stepper), pickle.loads(pickle.dumps(stepper))]
    for twin in twins:
        assert twin.best.fun == stepper.best.fun
        assert twin.so_far().maximize
        for ask in twin:
            twin.tell(ask, TellData([hill(x) for x in ask.x_fun]))
    assert len({twin.result().fun for twin in twins}) == 1
    assert stepper.result().fun == pytest.approx(5.0)


def test_minus_infinity_is_the_worst_that_can_be_told_of_a_maximum():
    stepper = NELDER_MEAD(maximize=True).stepper(START)
    for number, ask in enumerate(stepper):
        stepper.tell(ask, TellData([-np.inf if number == 5 else hill(x) for x in ask.x_fun]))
    assert stepper.result().fun == pytest.approx(5.0)


def test_a_stepper_with_a_journal_goes_on(tmp_path):
    path = tmp_path / "run.jsonl"
    with LBFGSB(maximize=True).stepper(START, journal=path) as stepper:
        ask = stepper.ask()
        stepper.tell(ask, TellData([hill(x) for x in ask.x_fun]))
    assert load(path).values.tolist() == [hill(x) for x in load(path).points]
    with LBFGSB(maximize=True).stepper(START, journal=path) as stepper:
        for ask in stepper:
            stepper.tell(ask, TellData([hill(x) for x in ask.x_fun]))
    assert stepper.result().fun == pytest.approx(5.0)
    assert stepper.result().nreplayed > 0


def test_qiskits_stateful_face_maximizes():
    steppable = SteppableOptimizer(LBFGSB(maximize=True))
    steppable.start(hill, START, slope)
    while steppable.continue_condition():
        steppable.step()
    assert steppable.create_result().fun == pytest.approx(5.0)


# What is made of a maximum.


def log_likelihood(x):
    times = np.array([0.3, 1.2, 2.6, 0.7, 1.9, 4.1, 0.9, 0.3])
    return -len(times) * np.log(x[0]) - times.sum() / x[0]


def test_error_bars_and_profiles_of_a_maximum():
    bounds = [(0.01, 50.0)]
    up = LBFGSB().minimize(log_likelihood, [1.0], bounds=bounds, maximize=True)
    down = LBFGSB().minimize(lambda x: -log_likelihood(x), [1.0], bounds=bounds)
    bars = error_bars(up, log_likelihood)
    mirrored = error_bars(down, lambda x: -log_likelihood(x))
    assert bars.errors == pytest.approx([up.x[0] / np.sqrt(8)], rel=1e-5)
    assert (bars.fun, bars.hessian) == (-mirrored.fun, -mirrored.hessian)
    found = LBFGSB(maximize=True).profile(log_likelihood, bars, bounds=bounds)
    wanted = LBFGSB().profile(lambda x: -log_likelihood(x), mirrored, bounds=bounds)
    assert np.array_equal(found.interval, wanted.interval)
    assert np.array_equal(found[0].fun, -wanted[0].fun)


# What is looked at.


def maximized(**settings):
    history = History()
    return minimize(hill, START, maximize=True, callback=history, **settings), history


@pytest.mark.parametrize("by", ["evaluations", "waves", "seconds"])
def test_pictures_rise(tmp_path, by):
    result, history = maximized(journal=tmp_path / "run.jsonl")
    values = [e.fun for e in history.evaluations]
    assert repr(history).endswith(f"highest f(x) = {max(values):.8g}>")
    recorded = LBFGSB().minimize(hill, START, maximize=True, journal=tmp_path / "other.jsonl")
    for run in (result, history, tmp_path / "run.jsonl", load(tmp_path / "run.jsonl"), recorded):
        best = plots.convergence(run, by=by).axes[0].lines[0].get_ydata()
        assert (np.diff(best) >= 0).all()
        assert best[-1] == pytest.approx(5.0)
    distance = plots.convergence(result, by=by, minimum=5.0 + 1e-9).axes[0]
    assert distance.get_ylabel() == "maximum - f(x)"
    assert (np.diff(distance.lines[0].get_ydata()) <= 0).all()
    assert distance.lines[0].get_ydata()[-1] > 0


def test_pictures_of_iterates_slices_and_many_runs():
    result, history = maximized()
    axes = plot_convergence(history, minimum=5.0 + 1e-9)
    assert axes.get_ylabel() == "maximum - f(x)"
    assert axes.lines[0].get_ydata() == pytest.approx(5.0 + 1e-9 - history.fun)
    star = plots.slices(result).axes[0].lines[-1]
    assert star.get_ydata() == pytest.approx([5.0])
    assert plots.parameters(history).axes[0].lines
    many = History()
    runs = LBFGSB().minimize_many(hills, STARTS * 3, maximize=True, callback=many)
    band = plots.convergence(runs, band=True).axes[0].lines
    assert (np.diff(band[-1].get_ydata()) >= 0).all()
    assert band[-1].get_ydata()[-1] == runs.best.best.fun
    slow = History()
    minimize(hill, START, method="Nelder-Mead", maximize=True, callback=slow)
    shares = plots.profile({"BFGS": {"hill": history}, "Nelder-Mead": {"hill": slow}})
    assert [line.get_ydata()[-1] for line in shares.axes[0].lines] == [1.0, 1.0]


def test_reports_and_tables_have_the_users_sign(tmp_path, capsys):
    runs = LBFGSB().minimize_many(hills, STARTS, maximize=True, journal=tmp_path / "run.jsonl")
    page = runs.report(tmp_path / "run.html")
    assert f"<b>{runs.best.fun:.6g}" in Path(page).read_text()
    main(["history", str(tmp_path / "run.jsonl"), "--all"])
    shown = capsys.readouterr().out
    assert all(repr(value) in shown for value in load(tmp_path / "run.jsonl").values.tolist())
    main(["history", str(tmp_path / "run.jsonl"), "--csv"])
    assert repr(load(tmp_path / "run.jsonl").values.tolist()[0]) in capsys.readouterr().out


def test_the_view_of_a_run_under_way_rises(tmp_path, capsys):
    maximized(journal=tmp_path / "run.jsonl")
    main(["watch", str(tmp_path / "run.jsonl"), "--once"])
    lines = capsys.readouterr().out.splitlines()
    (curve,) = [line for line in lines if "█" in line]
    assert curve.index("▁") < curve.index("█")


def test_a_study_of_optuna_maximizes(tmp_path):
    optuna = pytest.importorskip("optuna")
    result, _ = maximized(journal=tmp_path / "run.jsonl")
    study = load(tmp_path / "run.jsonl").to_optuna(optuna.storages.InMemoryStorage())
    assert study.direction.name == "MAXIMIZE"
    assert study.best_value == result.best.fun


def test_a_progress_bar_shows_the_highest_value():
    stream = io.StringIO()
    LBFGSB().minimize_many(hills, STARTS, maximize=True, progress=Progress(file=stream))
    assert "best: 3.2" in stream.getvalue()
