"""The setting ``progress``, lists of callbacks, and what hears of each evaluation."""

import copy
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import (
    COBYQA,
    LBFGSB,
    NELDER_MEAD,
    History,
    InvalidInputError,
    OptionError,
    Progress,
    TellData,
    load,
    multistart,
    race,
)
from optimizers.problems import h2

pytest.importorskip("tqdm", reason="needs the extra: progress")


class Hearing:
    """A callback that hears of evaluations and of the end."""

    def __init__(self):
        self.evaluations, self.states, self.results = [], [], []

    def __call__(self, intermediate_result):
        self.states.append(intermediate_result)

    def on_evaluation(self, evaluated):
        self.evaluations.append(evaluated)

    def on_run_end(self, result):
        self.results.append(result)


def told(stepper):
    for ask in stepper:
        stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun]))
    return stepper.result()


def by_threads(**settings):
    with ThreadPoolExecutor(3) as workers:
        return LBFGSB().minimize(rosen, [-1.2, 1.0], workers=workers, maxfun=60, **settings)


RUNS = {
    "alone": lambda **s: LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=60, **s),
    "given a gradient": lambda **s: LBFGSB().minimize(
        lambda x: (x @ x, 2 * x), [3.0, 1.0], jac=True, maxfun=60, **s
    ),
    "threads": by_threads,
    "asked and told": lambda **s: told(LBFGSB().stepper([-1.2, 1.0], maxfun=60, **s)),
    "with a constraint": lambda **s: COBYQA().minimize(
        rosen, [-1.2, 1.0], constraints={"type": "ineq", "fun": lambda x: x[0]}, maxfun=60, **s
    ),
    "many": lambda **s: LBFGSB().minimize_many(rosen, [[-1.2, 1.0], [0.5, 2.0]], maxfun=60, **s),
    "multistart": lambda **s: multistart(rosen, [(-2, 2)] * 2, budget=60, seed=1, **s),
    "race": lambda **s: race([LBFGSB(), NELDER_MEAD()], rosen, [-1.2, 1.0], budget=60, **s),
}
TOTALS = {"many": 120, "race": 120}


def count_of(result):
    return result.nfev if hasattr(result, "nfev") else sum(r.nfev for r in result.values())


def shown(progress_output):
    """Return the last state of a bar."""
    return progress_output.getvalue().rstrip().rpartition("\r")[2].strip()


@pytest.mark.parametrize("name", RUNS)
def test_the_bar_of_a_run_ends_on_its_count_of_the_budget_and_says_why(name):
    out = io.StringIO()
    bar = Progress(file=out)
    result = RUNS[name](progress=bar)
    bar.close()
    assert f"{count_of(result)}/{TOTALS.get(name, 60)} " in shown(out)
    assert "stop: " in shown(out)
    assert "waves: " in shown(out)
    best = min(r.best.fun for r in result.values()) if name == "race" else result.best
    best = best if name == "race" else getattr(best, "best", best).fun
    assert f"best: {best:.6g}" in shown(out)


def test_true_makes_a_bar_of_its_own_and_closes_it(capsys):
    result = LBFGSB(progress=True).minimize(lambda x: x @ x, [3.0, 4.0], maxfun=50)
    last = capsys.readouterr().err.rstrip().rpartition("\r")[2]
    assert f"{result.nfev}/50 " in last
    assert "stop: gradient" in last


def test_an_error_is_the_reason_that_the_bar_ends_with():
    def failing(x):
        raise LookupError("mine")

    for call, start in ((LBFGSB().minimize, [1.0]), (LBFGSB().minimize_many, [[1.0]])):
        bar = Progress(file=(out := io.StringIO()))
        with pytest.raises(LookupError):
            call(failing, start, progress=bar)
        assert "| 1/15000 " in shown(out)
        assert "stop: LookupError" in shown(out)


def test_what_is_no_bar_is_an_error_before_the_first_evaluation():
    with pytest.raises(InvalidInputError, match="progress is 'yes', expected True, False"):
        LBFGSB(progress="yes")
    with pytest.raises(OptionError, match="was made with progress: pass it to race"):
        race([LBFGSB(progress=True)], rosen, [1.0, 1.0])


@pytest.mark.parametrize("name", [name for name in RUNS if name != "threads"])
def test_listening_changes_nothing_and_hears_all_evaluations(name):
    hearing, silent = Hearing(), RUNS[name]()
    result = RUNS[name](callback=[hearing])
    assert len(hearing.evaluations) == count_of(result) == count_of(silent)
    assert [e.nfev for e in hearing.evaluations] == list(range(1, count_of(result) + 1))
    waves = [e.wave for e in hearing.evaluations]
    assert waves == sorted(waves)
    assert all(0 <= e.began <= e.ended for e in hearing.evaluations)
    if name not in ("given a gradient", "many", "multistart", "race"):
        assert [e.fun for e in hearing.evaluations] == [rosen(e.x) for e in hearing.evaluations]
    if name not in ("many", "multistart", "race"):
        np.testing.assert_array_equal(result.x, silent.x)
        assert hearing.results == [result]
        assert len(hearing.states) == result.nit or name == "with a constraint"
    else:
        assert {e.run for e in hearing.evaluations} == {r.run for r in hearing.results}


def test_all_callbacks_of_a_list_are_called_and_any_may_stop():
    seen, history = [], History()

    def stop(xk):
        return len(seen) == 3

    result = LBFGSB().minimize(rosen, [-1.2, 1.0], callback=[seen.append, history, stop])
    assert result.stop.name == "CALLBACK"
    assert len(seen) == len(history.fun) == 3


def test_an_evaluation_that_failed_has_its_error_and_no_value():
    def fun(x):
        if x[0] > 2.5:
            raise ValueError("mine")
        return float(x @ x)

    hearing = Hearing()
    NELDER_MEAD().minimize(fun, [2.45], callback=hearing, on_failure="reject")
    failed = [e for e in hearing.evaluations if e.failure is not None]
    assert failed
    assert all(np.isnan(e.fun) and "mine" in str(e.failure) for e in failed)
    best = [e.best for e in hearing.evaluations]
    assert best == sorted(best, reverse=True)


def test_a_journals_answers_are_heard_and_recorded_ones_go_the_same_way(tmp_path):
    path, hearing = tmp_path / "run.jsonl", Hearing()
    first = LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=20, journal=path)
    result = LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=40, journal=path, callback=hearing)
    assert (first.nfev, result.nreplayed) == (19, 19)
    assert len(hearing.evaluations) == result.nfev
    np.testing.assert_array_equal([e.fun for e in hearing.evaluations], load(path).values)
    again = LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=40)
    np.testing.assert_array_equal(result.x, again.x)


def test_a_stepper_that_is_copied_tells_no_evaluation_twice():
    hearing = Hearing()
    stepper = LBFGSB().stepper([-1.2, 1.0], callback=hearing)
    for _ in range(4):
        ask = stepper.ask()
        stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun]))
    twin = copy.deepcopy(stepper)
    result = told(twin)
    assert twin.done
    # The copy has a callback of its own, which had heard what the first one had.
    own = copied_of(twin)
    assert [e.nfev for e in own.evaluations] == list(range(1, result.nfev + 1))
    assert len(hearing.evaluations) < result.nfev


def copied_of(stepper):
    return stepper.__reduce__()[1][2]["callback"]


def test_the_bar_counts_the_points() -> None:
    out = io.StringIO()
    bar, molecule = Progress(total=500, file=out), h2()
    result = LBFGSB().minimize(molecule, molecule.x0, callback=bar)
    bar.close()
    assert f"{result.nfev}/500" in out.getvalue()


def test_the_bar_counts_the_points_of_all_runs_to_their_ends() -> None:
    out = io.StringIO()
    bar = Progress(total=300, file=out)
    found = multistart(rosen, [(-2, 2)] * 2, budget=300, seed=1, callback=bar)
    bar.close()
    assert found.nfev == 300
    assert "300/300" in out.getvalue()
