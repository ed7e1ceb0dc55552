import io
import itertools

import numpy as np
import pytest
import scipy.optimize
from scipy.stats import qmc

from optimizers import (
    CMAES,
    COBYQA,
    DIRECT,
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    SPSA,
    CapabilityError,
    DifferentialEvolution,
    History,
    InvalidInputError,
    Journal,
    OptionError,
    Param,
    Progress,
    StopReason,
    load,
    portfolio,
    residuals,
    vectorized,
)

BOX = [(-2.0, 2.0), (-2.0, 2.0)]


def two():
    return [LBFGSB(), COBYQA()]


def wells(x):
    return float(((x**2 - 1) ** 2 + 0.1 * x).sum())


def slope(x):
    return 4 * x * (x**2 - 1) + 0.1


LOWEST = scipy.optimize.minimize(wells, [-1.0, -1.0], jac=slope, tol=1e-12)


def ripples(x):
    return float(x @ x + 10 * np.sum(1 - np.cos(2 * np.pi * x)))


def test_it_is_a_function_whatever_was_imported_before():
    import optimizers.several.portfolio  # a module of that name

    assert callable(optimizers.portfolio)


def test_members_share_the_budget_and_the_best_of_them_is_the_result():
    found = portfolio(wells, BOX, 400, members=two(), seed=1)
    np.testing.assert_allclose(found.x, LOWEST.x, atol=1e-4)
    assert (found.fun, found.success) == (found.best.fun, True)
    assert found.minima[0].fun == pytest.approx(LOWEST.fun)
    assert found.stop is StopReason.MAXFUN
    assert {*found.members} == {"LBFGSB", "COBYQA"} == {*found.names}
    assert found.winner in found.members
    assert found.members[found.winner].best is found.best
    assert found.nfev == sum(results.nfev for results in found.members.values()) <= 400
    assert all(name in repr(found) for name in found.members)


@pytest.mark.parametrize("jac", [None, slope, True], ids=["values", "gradient", "both"])
@pytest.mark.parametrize("budget", [1, 7, 23, 200])
def test_the_budget_is_hard(budget, jac):
    calls = []

    def fun(x):
        calls.append(x)
        return (wells(x), slope(x)) if jac is True else wells(x)

    found = portfolio(fun, BOX, budget, members=two(), jac=jac, seed=1)
    assert len(calls) == found.nfev <= budget
    assert calls == [] or found.success or found.fun == min(wells(x) for x in calls)


def test_the_first_run_of_a_member_starts_from_the_best_point_known():
    history = History()
    members = [LBFGSB(), NELDER_MEAD()]
    found = portfolio(wells, BOX, 200, members=members, seed=1, callback=history)
    second = [e.run for e in history.evaluations].index(found.names.index("NELDER_MEAD"))
    before = min(history.evaluations[:second], key=lambda e: e.fun)
    np.testing.assert_allclose(history.evaluations[second].x, before.x, atol=1e-6)


def test_each_run_has_random_numbers_of_its_own():
    points = {}
    for seed in (1, None):
        history, own = History(), {} if seed else {"seed": 5}
        member = DifferentialEvolution(maxiter=1, polish=False, **own)
        given = {"seed": seed, "callback": history}
        found = portfolio(wells, BOX, 200, members=[member], **given)
        assert len(found.runs) > 2
        points[seed] = [tuple(e.x) for e in history.evaluations]
        assert len(set(points[seed])) > 180
    again = History()
    member = DifferentialEvolution(maxiter=1, polish=False)
    portfolio(wells, BOX, 200, members=[member], seed=1, callback=again)
    assert [tuple(e.x) for e in again.evaluations] == points[1]


def test_who_uses_no_start_runs_once():
    found = portfolio(wells, BOX, 300, members=[DIRECT(maxfun=60), LBFGSB()], seed=1)
    assert found.names.count("DIRECT") == 1
    assert found.nfev > 250
    alone = portfolio(wells, BOX, 300, members=[DIRECT(maxfun=60)], seed=1)
    assert len(alone.runs) == 1
    assert alone.nfev <= 60
    assert alone.stop is StopReason.CONVERGED


def test_a_gradient_is_for_those_that_use_one():
    found = portfolio(wells, BOX, 100, jac=slope, members=[COBYQA(), LBFGSB()], seed=1)
    first = {name: results[0] for name, results in found.members.items()}
    assert first["COBYQA"].njev == 0
    assert first["LBFGSB"].njev == first["LBFGSB"].nfev


def test_who_falls_behind_gets_no_more():
    # A random walk in 6 variables against the gradient of a bowl, again and again.
    found = portfolio(
        lambda x: float(x @ x), [(-1, 2)] * 6, 2000, members=[LBFGSB(), SPSA(maxiter=20)], seed=1
    )
    bad, good = found.members["SPSA"], found.members["LBFGSB"]
    assert found.winner == "LBFGSB"
    assert bad.nfev + good.nfev == found.nfev
    assert len(bad) <= len(good) + 2


def test_the_default_finds_the_lowest_of_many_minima():
    found = portfolio(ripples, [(-5, 5)] * 3, 3000, seed=2)
    assert [*found.members] == ["SLSQP", "LBFGSB", "CMAES"]
    assert found.fun < 1.1  # of minima at 0, 0.995, 1.99, ...


def test_members_by_the_form_of_the_problem():
    circle = {"type": "ineq", "fun": lambda x: x @ x - 2.5}
    held = portfolio(wells, BOX, 400, constraints=circle, seed=1)
    assert {*held.members} <= {"SLSQP", "COBYQA"}
    assert held.best.maxcv < 1e-6
    assert held.x @ held.x == pytest.approx(2.5, abs=1e-4)
    t = np.linspace(0, 2, 9)
    fit = portfolio(
        residuals(lambda x: x[0] * np.exp(-x[1] * t) - 3 * np.exp(-t)), [(0, 5)] * 2, 200, seed=1
    )
    assert "LM" in fit.members
    np.testing.assert_allclose(fit.x, [3, 1], atol=1e-5)
    wide = portfolio(lambda x: float(x @ x), [(-1, 2)] * 101, 250, seed=1)
    assert "SLSQP" not in wide.members


def test_without_cma_differential_evolution_takes_its_place(monkeypatch):
    monkeypatch.setattr("optimizers.several.portfolio.find_spec", lambda name: None)
    found = portfolio(wells, BOX, 600, seed=1)
    assert "DifferentialEvolution" in found.members
    np.testing.assert_allclose(found.x, LOWEST.x, atol=1e-4)


def test_maximize_is_minimizing_the_negated_function():
    down = portfolio(wells, BOX, 300, members=two(), seed=3)
    up = portfolio(lambda x: -wells(x), BOX, 300, members=two(), seed=3, maximize=True)
    assert (up.fun, up.names) == (-down.fun, down.names)
    np.testing.assert_array_equal(up.x, down.x)
    assert [m.fun for m in up.minima] == [-m.fun for m in down.minima]


def test_parameters_have_their_names():
    x0 = {"a": Param(0.0, -2, 2), "b": Param(1.0, 0.1, 9, transform="log")}
    found = portfolio(
        lambda p: (p["a"] - 1) ** 2 + np.log(p["b"]) ** 2, budget=200, x0=x0, members=two(), seed=1
    )
    assert found.x["a"] == pytest.approx(1, abs=1e-3)
    assert found.minima[0].x["b"] == pytest.approx(1, abs=1e-3)
    named = portfolio(lambda p: p["a"] ** 2, {"a": (-1, 2)}, 60, members=two(), seed=1)
    assert named.x["a"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("members", [two, lambda: [SLSQP(), CMAES()]], ids=["local", "global"])
def test_a_killed_portfolio_goes_on_from_its_journal(tmp_path, members):
    path, calls = tmp_path / "run.jsonl", itertools.count()

    def fun(x):
        next(calls)
        return wells(x)

    given = {"members": members(), "seed": 4}
    whole = portfolio(fun, BOX, 250, journal=Journal(path, "never"), **given)
    text, total = path.read_text(), next(calls)
    lines = text.splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))
    again = portfolio(fun, BOX, 250, journal=path, **given)
    assert again.names == whole.names
    for result, known in zip(again.runs, whole.runs, strict=True):
        np.testing.assert_array_equal(result.x, known.x)
        assert (result.fun, result.nfev) == (known.fun, known.nfev)
    assert again.nreplayed > 50
    assert next(calls) - total - 1 == total - again.nreplayed
    more = portfolio(fun, BOX, 350, journal=path, **given)
    # A member whose question is too large at the end lets another one spend the rest.
    assert whole.nfev - 6 < more.nreplayed <= whole.nfev
    assert more.nfev <= 350
    assert load(path).result.fun == more.fun


def test_workers_are_filled():
    waves = []

    @vectorized
    def fun(points):
        waves.append(len(points))
        return np.array([ripples(x) for x in points])

    found = portfolio(fun, [(-5, 5)] * 4, 1600, max_evals_grouped=16, seed=1)
    assert max(waves) <= 16
    assert np.mean(waves) > 10
    assert found.nfev == sum(waves) <= 1600


def test_a_target_ends_all():
    found = portfolio(wells, BOX, 5000, members=two(), f_target=-0.15, seed=1)
    assert found.stop is StopReason.TARGET
    assert found.fun <= -0.15
    assert found.nfev < 300


def test_known_points_are_free_and_the_first_start():
    first = History()
    portfolio(wells, BOX, 60, members=two(), seed=1, callback=first)
    calls = []

    def fun(x):
        calls.append(x)
        return wells(x)

    found = portfolio(fun, BOX, 60, members=two(), seed=2, known=first)
    best = min(first.evaluations, key=lambda e: e.fun)
    assert found.fun <= best.fun
    assert found.nknown > 0
    assert len(calls) == found.nfev <= 60


def test_runs_that_fail_are_no_minima_and_all_failing_is_an_error():
    def fun(x):
        if np.any(x < -0.9):
            raise ArithmeticError("Not there.")
        return wells(x)

    found = portfolio(fun, BOX, 400, members=two(), seed=1)
    assert found.nfev <= 400
    assert not {*found.runs.failures} & {run for m in found.minima for run in m.runs}
    calls = []
    with pytest.raises(TypeError) as caught:
        portfolio(calls.append, BOX, 10**6, members=two())
    assert len(calls) < 200
    assert caught.value.optimizer_results.failures


def test_timeout_ends_all():
    found = portfolio(wells, BOX, 10**6, members=two(), timeout=0.2, seed=1)
    assert found.stop is StopReason.TIMEOUT
    assert 0 < found.nfev < 10**6


def test_progress_is_one_bar_for_all():
    pytest.importorskip("tqdm", reason="needs the extra: progress")
    out = io.StringIO()
    found = portfolio(wells, BOX, 150, members=two(), progress=Progress(file=out), seed=1)
    assert f"{found.nfev}/150" in out.getvalue()
    assert "maxfun" in out.getvalue()


def test_ctrl_c_has_what_was_found():
    calls = itertools.count(1)

    def fun(x):
        if next(calls) == 100:
            raise KeyboardInterrupt
        return wells(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        portfolio(fun, BOX, 1000, members=two(), seed=1)
    assert caught.value.optimizer_results.nfev == 100


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (InvalidInputError, {"bounds": [(0, None)]}),
        (InvalidInputError, {"members": []}),
        (InvalidInputError, {"members": LBFGSB()}),
        (InvalidInputError, {"members": [LBFGSB]}),
        (InvalidInputError, {"sampler": qmc.Sobol(3)}),
        (OptionError, {"budget": 0}),
        (OptionError, {"budget": None}),
        (OptionError, {"tolerance": -1}),
        (OptionError, {"members": [LBFGSB(journal="a.jsonl")]}),
        (OptionError, {"members": [LBFGSB(workers=2)]}),
        (CapabilityError, {"members": two(), "constraints": {"type": "eq", "fun": sum}}),
    ],
)
def test_what_cannot_be_used_is_a_named_error_before_any_evaluation(error, arguments):
    calls = []
    with pytest.raises(error):
        portfolio(calls.append, **{"bounds": BOX, "budget": 100, **arguments})
    assert calls == []
