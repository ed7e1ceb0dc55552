"""Journals of runs for which points are known: a killed run resumes to the bit."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import COBYQA, LBFGSB, NELDER_MEAD, SPSA, JournalMismatchError, load, multistart

START = np.array([-1.2, 1.0, 0.5])


class KilledError(Exception):
    """Stands for the death of a process."""


def dies_after(count):
    """Return the objective, which raises at that call."""
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) > count:
            raise KilledError
        return rosen(x)

    return fun


@pytest.mark.parametrize(
    ("cls", "jac"), [(LBFGSB, None), (LBFGSB, rosen_der), (COBYQA, None), (SPSA, None)]
)
def test_a_killed_run_with_known_points_resumes_to_the_bit(cls, jac, tmp_path):
    first, own = tmp_path / "first.jsonl", tmp_path / "own.jsonl"
    NELDER_MEAD().minimize(rosen, START, maxfun=30, journal=first)
    how = {"known": first, "seed": 1, "maxfun": 25}
    whole = cls().minimize(rosen, None, jac, **how)
    with pytest.raises(KilledError):
        cls().minimize(dies_after(9), None, jac, journal=own, journal_check="off", **how)
    again = cls().minimize(rosen, None, jac, journal=own, journal_check="off", **how)
    assert np.array_equal(again.x, whole.x)
    counts = "nfev", "njev", "nit", "nknown"
    assert [again[name] for name in counts] == [whole[name] for name in counts]
    assert again.nreplayed == 9
    # What is known is not evaluated, so that it is not recorded.
    assert len(load(own).values) == whole.nfev + 1  # and the failure


def test_a_journal_is_resumed_with_the_same_known_points_only(tmp_path):
    known, own = ([START], [rosen(START)]), tmp_path / "own.jsonl"
    LBFGSB().minimize(rosen, START, known=known, journal=own, maxfun=8)
    for other in (None, ([START], [1.0])):
        with pytest.raises(JournalMismatchError, match="known"):
            LBFGSB().minimize(rosen, START, known=other, journal=own)
    assert LBFGSB().minimize(rosen, START, known=known, journal=own, maxfun=9).nreplayed == 8


def test_many_runs_with_known_points_resume_together(tmp_path):
    def fun(x):
        return float(((x**2 - 1) ** 2 + 0.1 * x).sum())

    first, own = tmp_path / "first.jsonl", tmp_path / "own.jsonl"
    box, how = [(-2, 2)] * 2, {"seed": 1, "agreement": False}
    multistart(fun, box, 60, journal=first, **how)
    whole = multistart(fun, box, 120, known=first, **how)
    multistart(fun, box, 70, known=first, journal=own, **how)
    again = multistart(fun, box, 120, known=first, journal=own, **how)
    assert [result.x.tolist() for result in again.runs] == [
        result.x.tolist() for result in whole.runs
    ]
    assert (again.nfev, again.nknown) == (whole.nfev, whole.nknown)
    assert again.nreplayed > 0


def test_values_of_a_maximum_have_the_users_sign(tmp_path):
    def fun(x):
        return -rosen(x)

    path, how = tmp_path / "run.jsonl", {"maximize": True}
    first = LBFGSB().minimize(fun, START, journal=path, maxfun=20, **how)
    whole = LBFGSB().minimize(fun, START, maxfun=30, **how)
    again = LBFGSB().minimize(fun, START, known=path, maxfun=10, **how)
    assert again.nknown == first.nfev == 20
    assert again.fun == whole.fun > first.fun
    least = LBFGSB(maxiter=0).minimize(fun, None, lambda x: -rosen_der(x), known=path)
    assert least.fun < again.fun
