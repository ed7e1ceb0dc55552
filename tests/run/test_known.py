"""Points that are known before a run: free, to the bit, and the same path as without them."""

import pickle

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import (
    BFGS,
    COBYQA,
    LBFGSB,
    LM,
    NELDER_MEAD,
    SPSA,
    UMDA,
    History,
    InvalidInputError,
    Known,
    NoisyLBFGSB,
    TellData,
    load,
    minimize,
    multistart,
    race,
    residuals,
    vectorized,
)

START = np.array([-1.2, 1.0, 0.5])


class Counted:
    """An objective that counts its calls, and knows each point that it was called at."""

    def __init__(self, fun=rosen):
        self.fun, self.points = fun, []

    def __call__(self, x):
        self.points.append(np.array(x))
        return self.fun(x)


@pytest.mark.parametrize(
    ("cls", "jac"),
    [
        (LBFGSB, None),
        (LBFGSB, rosen_der),
        (BFGS, rosen_der),
        (NELDER_MEAD, None),
        (COBYQA, None),
        (SPSA, None),
        (UMDA, None),
    ],
)
def test_a_second_run_on_a_doubled_budget_pays_the_difference(cls, jac, tmp_path):
    path, fun = tmp_path / "run.jsonl", Counted()
    how = {"seed": 1}
    first = cls().minimize(rosen, START, jac, maxfun=25, journal=path, **how)
    whole = cls().minimize(rosen, START, jac, maxfun=50, **how)
    second = cls().minimize(fun, START, jac, maxfun=50 - first.nfev, known=path, **how)
    assert np.array_equal(second.x, whole.x)
    assert (second.fun, second.nit, second.stop) == (whole.fun, whole.nit, whole.stop)
    assert second.nfev == len(fun.points) <= whole.nfev - first.nfev + 1  # the start of a wave
    assert second.nknown <= first.nfev
    assert second.nfev + second.nknown <= 50
    if jac is not None:
        assert second.njev == whole.njev - first.njev


def test_more_iterations_pay_the_difference(tmp_path):
    path, fun = tmp_path / "run.jsonl", Counted()
    first = LBFGSB(maxiter=5).minimize(rosen, START, journal=path)
    whole = LBFGSB(maxiter=10).minimize(rosen, START)
    second = LBFGSB(maxiter=10).minimize(fun, START, known=path)
    assert np.array_equal(second.x, whole.x)
    assert second.nfev == len(fun.points) == whole.nfev - first.nfev
    assert second.nknown == first.nfev


def test_a_noisy_run_is_repeated_with_the_values_it_had(tmp_path):
    def noisy(seed):
        rng = np.random.default_rng(seed)
        return lambda x: float(x @ x + 0.01 * rng.standard_normal())

    path = tmp_path / "run.jsonl"
    how = {"seed": 1, "noise": 0.01}
    first = NoisyLBFGSB().minimize(noisy(1), START, maxfun=60, journal=path, **how)
    again = NoisyLBFGSB().minimize(noisy(2), START, maxfun=1, known=path, **how)
    assert again.nknown == first.nfev
    assert np.array_equal(again.x, first.x)
    assert again.fun == first.fun


def test_a_known_answer_is_used_once():
    fun = Counted(lambda x: 1.0)
    history = History()
    result = UMDA(maxiter=1, size_gen=4, seed=1).minimize(fun, [1.0], callback=history)
    x = history.evaluations[0].x
    stepper = NELDER_MEAD().stepper(x, known=([x, x], [3.0, 4.0]), maxfun=2)
    assert stepper.ask().x_fun.tolist() != [x.tolist()]  # the start has its answer
    assert result.nfev == len(fun.points)


def test_probes_and_values_in_one_wave_are_asked_for_one_by_one():
    waves = []

    @vectorized
    def fun(points):
        waves.append(points.copy())
        return (points**2).sum(axis=1)

    h = 1.4901161193847656e-08
    cold = LBFGSB(maxiter=0).minimize(fun, [1.0, 2.0])
    first = waves.pop()
    assert first.shape == (3, 2), h
    known = (first[[0, 2]], (first[[0, 2]] ** 2).sum(axis=1))
    warm = LBFGSB(maxiter=0).minimize(fun, [1.0, 2.0], known=known)
    assert waves[0].tolist() == first[[1]].tolist()
    assert np.array_equal(warm.jac, cold.jac)
    assert (warm.nfev, warm.nknown) == (1, 2)


def test_a_wave_that_is_free_needs_no_budget(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxiter=1).minimize(rosen, START, journal=path)
    result = LBFGSB(maxiter=1).minimize(rosen, START, known=path, maxfun=1)
    assert (result.nfev, result.nit) == (0, 1)
    history = History()
    LBFGSB(maxiter=0).minimize(rosen, START, callback=history)
    result = LBFGSB(maxiter=1).minimize(rosen, START, known=history, maxfun=1)
    assert (result.nfev, result.nknown) == (1, 4)


def test_gradients_are_free_where_they_are_known():
    calls = []

    def jac(x):
        calls.append(x)
        return rosen_der(x)

    known = ([START, START + 1], [rosen(START), rosen(START + 1)], [rosen_der(START), [np.nan] * 3])
    result = LBFGSB(maxiter=0).minimize(rosen, START, jac, known=known)
    assert (result.nfev, result.njev, result.nknown, calls) == (0, 0, 1, [])
    both = LBFGSB(maxiter=0).minimize(lambda x: pytest.fail("called"), START, True, known=known)
    assert np.array_equal(both.jac, rosen_der(START))


def test_the_best_known_point_is_the_start():
    known = Known([[3.0, 0.0], [1.0, 1.0], [0.1, 0.1]], [9.0, 2.0, 0.02])
    fun = Counted(lambda x: x @ x)
    result = NELDER_MEAD(maxiter=0).minimize(fun, None, known=known)
    assert result.x.tolist() == [0.1, 0.1]
    box = [(0.5, 4)] * 2
    result = LBFGSB(maxiter=0).minimize(fun, None, lambda x: 2 * x, box, known=known)
    assert result.best.x.tolist() == [1.0, 1.0]
    highest = LBFGSB(maxiter=0).minimize(fun, None, lambda x: 2 * x, known=known, maximize=True)
    assert (highest.x.tolist(), highest.fun) == ([3.0, 0.0], 9.0)
    assert minimize(fun, None, known=known, options={"maxiter": 0}).nknown == 1
    given = LBFGSB(maxiter=0).minimize(fun, [3.0, 0.0], lambda x: 2 * x, known=known)
    assert given.x.tolist() == [3.0, 0.0]
    assert all(len(x) == 2 for x in fun.points)


@pytest.mark.parametrize("cls", [COBYQA, LBFGSB, NoisyLBFGSB])
def test_one_algorithms_journal_feeds_another(cls, tmp_path):
    path = tmp_path / "run.jsonl"
    first = NELDER_MEAD().minimize(rosen, START, maxfun=60, journal=path)
    result = cls().minimize(rosen, None, known=load(path), maxfun=30, seed=1)
    assert result.nknown >= 1
    assert result.best.fun <= first.best.fun


def test_pairs_from_known_gradients_save_evaluations(tmp_path):
    path, start = tmp_path / "run.jsonl", np.array([-1.2, 1.0, -1.2, 1.0, -1.2])
    first = LBFGSB().minimize(rosen, start, rosen_der, maxfun=40, journal=path)
    cold = LBFGSB().minimize(rosen, first.x, rosen_der)
    warm = LBFGSB().minimize(rosen, None, rosen_der, known=path)
    assert warm.success
    assert warm.nfev < cold.nfev
    assert warm.nfev <= LBFGSB().minimize(rosen, start, rosen_der).nfev - first.nfev


def test_multistart_begins_at_the_best_known_point(tmp_path):
    def fun(x):
        return float(((x**2 - 1) ** 2 + 0.1 * x).sum())

    path = tmp_path / "run.jsonl"
    NELDER_MEAD().minimize(fun, [-0.9, -0.8], maxfun=20, journal=path)
    best = load(path).result.best
    found = multistart(fun, [(-2, 2)] * 2, 200, seed=1, known=path)
    assert found.runs[0].nknown >= 1
    assert found.minima[0].runs[0] == 0
    assert found.nknown == sum(result.nknown for result in found.runs)
    assert "known before" in str(found)
    assert found.best.fun <= best.fun
    many = LBFGSB().minimize_many(fun, [best.x, [1.0, 0.9]], known=path)
    assert [result.nknown for result in many] == [1, 0]


def test_a_race_shares_what_is_known():
    known = ([[1.0, 1.0], [0.5, 0.5]], [2.0, 0.5])
    found = race([LBFGSB(), NELDER_MEAD()], lambda x: float(x @ x), None, known=known, budget=40)
    assert [result.nknown for result in found.values()] == [1, 1]
    with pytest.raises(ValueError, match="known: pass it to race"):
        race([LBFGSB(known=known)], lambda x: float(x @ x), [1.0, 1.0])


def test_a_stepper_does_not_ask_for_what_is_known():
    stepper = NELDER_MEAD().stepper(None, known=([[1.0, 1.0], [2.0, 1.0]], [2.0, 5.0]), maxfun=9)
    asked = []
    for ask in stepper:
        asked += [x.tolist() for x in ask.x_fun]
        stepper.tell(ask, TellData([x @ x for x in ask.x_fun]))
    assert [1.0, 1.0] not in asked
    assert pickle.loads(pickle.dumps(stepper)).result().nknown == stepper.result().nknown == 1
    assert stepper.result().nfev == len(asked)


def test_residuals_and_their_jacobians_are_known_by_rows(tmp_path):
    t = np.arange(4.0)
    data = 2.0 * np.exp(-0.5 * t)

    def misfit(x):
        return x[0] * np.exp(-x[1] * t) - data

    def jac(x):
        return np.array([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t)]).T

    path = tmp_path / "run.jsonl"
    whole = LM().minimize(residuals(misfit), [1.0, 1.0], jac, journal=path)
    again = LM().minimize(residuals(misfit), [1.0, 1.0], jac, known=path)
    assert (again.nfev, again.njev, again.nknown) == (0, 0, whole.nfev)
    assert np.array_equal(again.x, whole.x)
    x = np.array([[1.0, 1.0], [2.0, 0.6]])
    known = x, [misfit(p) for p in x], [jac(p) for p in x]
    result = LM().minimize(residuals(misfit), None, jac, known=known)
    assert result.nknown == 1
    assert result.success


def test_parameters_in_structures(tmp_path):
    def fun(p):
        return (p["a"] - 1) ** 2 + float(np.sum(p["b"] ** 2))

    def tree(a, b):
        return {"a": a, "b": np.array(b)}

    trees = [tree(0.0, [1.0, 1.0]), tree(0.5, [0.5, 0.0])]
    known = Known(trees, [fun(p) for p in trees])
    result = LBFGSB(maxiter=0).minimize(fun, None, known=known)
    assert (result.x["a"], result.nknown) == (0.5, 1)
    path, history = tmp_path / "run.jsonl", History()
    how = {"scale": "start", "journal": path, "callback": history}
    first = LBFGSB().minimize(fun, trees[1], **how)
    for source in (path, first, history):
        again = LBFGSB().minimize(fun, trees[1], known=source, scale="start")
        assert again.fun == first.fun
    with pytest.raises(ValueError, match=r"recorded for a / 0\.5"):
        LBFGSB().minimize(fun, trees[1], known=path)


def test_results_and_printed_words_say_how_many_were_known(capsys):
    result = NELDER_MEAD(disp=True).minimize(rosen, START, known=([START], [rosen(START)]))
    words = f"points evaluated: {result.nfev} (1 more known before)"
    assert words in capsys.readouterr().out
    assert "nknown" not in NELDER_MEAD().minimize(rosen, START)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (3, "expected a journal"),
        (([[1.0, 2.0]],), "expected a journal"),
        (([[1.0, 2.0]], [1.0, 2.0]), "k = 1"),
        (([[1.0, 2.0]], [np.nan]), "leave out"),
        (([[1.0, 2.0]], ["a"]), "fun of known"),
        (([[1.0]], [1.0]), "expected 2 finite numbers"),
        (([[1.0, np.nan]], [1.0]), "expected 2 finite numbers"),
        (([[1.0, 2.0]], [[1.0, 2.0]]), "known has residuals"),
        (([[1.0, 2.0]], [1.0], [[1.0]]), "derivative at point 0"),
        (([[1.0, 2.0]], [1.0], [[1.0, np.nan]]), "derivative at point 0"),
        (([[1.0, 2.0]], [1.0], []), "expected 1 gradients"),
        (([[1.0, 2.0]], [1.0], None, [-1.0]), "errors of known"),
        ((3.0, [1.0]), "sequence of points"),
    ],
    ids=str,
)
def test_bad_known_points_are_named_before_the_first_evaluation(known, words):
    fun = Counted()
    with pytest.raises(ValueError, match=words):
        LBFGSB().minimize(fun, [1.0, 2.0], known=known)
    assert not fun.points


def test_a_known_point_of_another_structure_is_named():
    with pytest.raises(InvalidInputError, match=r"^Point 0 of known is \{'a': 1.0\}, expected the"):
        LBFGSB().minimize(lambda p: p["a"], {"a": 1.0, "b": 2.0}, known=([{"a": 1.0}], [1.0]))


def test_none_without_points_or_with_a_result_that_has_none():
    with pytest.raises(ValueError, match="known has no points"):
        LBFGSB().minimize(rosen, None, known=([], []))
    bare = LBFGSB().minimize(rosen, START)
    with pytest.raises(ValueError, match="does not hold its evaluations"):
        LBFGSB().minimize(rosen, START, known=bare)
    with pytest.raises(OSError, match="no_such"):
        LBFGSB().minimize(rosen, START, known="no_such.jsonl")


def test_the_callers_arrays_are_neither_changed_nor_kept():
    x, fun = np.array([[1.0, -0.0]]), np.array([1.0])
    optimizer = LBFGSB(known=Known(x, fun), maxiter=0)
    assert optimizer.minimize(rosen, None).nknown == 1
    assert np.signbit(x[0, 1])
