"""The conformance suite: every class passes it, and a failure says what to do."""

import subprocess
import sys
import unittest
from functools import partial

import numpy as np
import pytest
import scipy.optimize

from optimizers import (
    FlowOptimizer,
    Optimizer,
    OptimizerResult,
    StopReason,
    SupportLevel,
    available,
    testing,
)
from optimizers.flow import AskData, Outcome, Step, ended
from optimizers.result import Best
from tests.making import make

NONE = dict.fromkeys(("gradient", "bounds"), SupportLevel.not_supported)
LEVELS = {**NONE, "initial_point": SupportLevel.required}


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("cls", available().values(), ids=lambda cls: cls.__name__)
def test_every_class_passes_the_conformance_suite(cls: type[Optimizer], check) -> None:
    check(partial(make, cls))


def outcomes(cls):
    """Return the checks that a class passes, what it is told by others, and which are skipped."""
    passed, failed, skipped = set(), {}, {}
    for check in testing.CHECKS:
        name = check.__name__.removeprefix("check_")
        try:
            check(cls)
        except testing.NotApplicable as reason:
            skipped[name] = str(reason)
        except AssertionError as error:
            failed[name] = str(error)
        else:
            passed.add(name)
    return passed, failed, skipped


class Careful(Optimizer):
    """A class that overrides ``minimize`` alone, and returns what the result asks for."""

    def get_support_level(self):
        return LEVELS

    def minimize(self, fun, x0, jac=None, bounds=None):
        seen = []

        def counted(x):
            seen.append(Best(x.copy(), float(fun(x.copy()))))
            return seen[-1].fun

        raw = scipy.optimize.minimize(counted, x0, method="Nelder-Mead")
        best = min(seen, key=lambda point: point.fun)
        return OptimizerResult(
            x=best.x,
            fun=best.fun,
            best=best,
            nfev=len(seen),
            njev=0,
            nit=raw.nit,
            success=bool(raw.success),
            status=raw.status,
            message=raw.message,
            stop=StopReason.STEP if raw.success else StopReason.OTHER,
        )


class Naive(Optimizer):
    """A class that overrides ``minimize`` alone, and hands on whatever it is given and gets."""

    def get_support_level(self):
        return LEVELS

    def minimize(self, fun, x0, jac=None, bounds=None, **settings):
        return scipy.optimize.minimize(fun, x0, method="Nelder-Mead")


class Forgetful(Careful):
    """Says that it takes all settings, and forgets them."""

    def minimize(self, fun, x0, jac=None, bounds=None, **settings):
        return super().minimize(fun, x0)


def test_a_class_that_overrides_minimize_alone_is_told_which_checks_do_not_apply():
    passed, failed, skipped = outcomes(Careful)
    assert not failed
    assert passed >= {"counts", "repeatable", "threads", "failure", "stepper", "lockstep"}
    for name, setting in {
        "budget": "maxfun",
        "callback": "callback",
        "timeout": "timeout",
        "workers": "workers",
        "journal": "journal",
    }.items():
        assert skipped.pop(name) == (
            f"Careful.minimize has no parameter {setting!r}: override _solve instead of minimize "
            "to inherit it from Optimizer.minimize."
        )
    assert skipped.keys() == {"groups", "non_finite", "residuals", "structure"}
    assert all("override _solve instead" in reason for reason in skipped.values())
    names = {check.__name__ for check in testing.CHECKS}
    assert testing.check_optimizer(Careful).keys() == names - {f"check_{name}" for name in passed}


def test_a_class_that_hands_anything_on_is_told_what_to_do():
    passed, failed, skipped = outcomes(Naive)
    assert passed == {"support_levels", "bounds", "settings_round_trip", "nothing_in_silence"}
    assert skipped.keys() == {"groups", "non_finite", "residuals", "structure"}
    for name, told in failed.items():
        assert "return an OptimizerResult" in told, name


def test_settings_that_are_taken_and_forgotten_are_named():
    passed, failed, _ = outcomes(Forgetful)
    assert passed >= {"counts", "repeatable", "threads", "failure", "stepper"}
    assert "with maxfun=1: let the run count, or do not accept maxfun" in failed["budget"]
    assert "minimize accepted journal=... but wrote no file" in failed["journal"]
    assert "The callback was called 0 times" in failed["callback"]
    assert "list the known names" in failed["unknown_setting"]


class Walk(FlowOptimizer):
    """A random walk, from which the classes below depart each in one thing."""

    draws = staticmethod(lambda run: run.rng)

    def __init__(self, maxiter=30, **settings):
        super().__init__({"maxiter": maxiter}, **settings)

    def get_support_level(self):
        return {**LEVELS, "bounds": SupportLevel.supported}

    def _flow(self, problem, run):
        points = problem.x0
        for _ in range(self.maxiter):
            told = yield AskData(problem.clip(points))
            yield Step(problem.clip(points), told.fun)
            points = points + 0.1 * self.draws(run).normal(size=points.shape)
        return ended(run.best.x, StopReason.MAXITER, run.best.fun)


def test_what_draws_from_the_run_passes():
    assert testing.check_optimizer(Walk) == {}


def test_random_numbers_of_ones_own_are_named():
    shared = np.random.default_rng(1)

    class Drawing(Walk):
        draws = staticmethod(lambda run: shared)

    with pytest.raises(AssertionError, match="Two runs with one seed differ: draw from run"):
        testing.check_repeatable(Drawing)


def test_a_wrong_count_of_iterations_is_named():
    class Silent(Walk):
        def _flow(self, problem, run):
            yield AskData(problem.x0)
            return ended(problem.x0, StopReason.MAXITER)

    with pytest.raises(AssertionError, match="0 times in 0 iterations: yield Step"):
        testing.check_callback(Silent)


def test_a_library_that_swallows_is_named():
    class Swallowing(Optimizer):
        def get_support_level(self):
            return LEVELS

        def _solve(self, run):
            for step in range(4):
                try:
                    run.value(run.problem.x0 + step)
                except BaseException:
                    continue
            return Outcome(run.best.x, True, 0, "Done.", StopReason.CONVERGED)

    with pytest.raises(AssertionError, match=r"nothing was raised: .*run\.guard"):
        testing.check_failure(Swallowing)


def test_a_constructor_without_settings_is_named():
    class Closed(Walk):
        def __init__(self, maxiter=20):
            super().__init__(maxiter)

    with pytest.raises(AssertionError, match=r"add \*\*settings"):
        testing.check_settings_round_trip(Closed)


def test_a_point_outside_the_bounds_is_named():
    class Leaving(Walk):
        def minimize(self, fun, x0, jac=None, bounds=None, **settings):
            return super().minimize(fun, x0, jac, **settings)

    with pytest.raises(AssertionError, match="clip points"):
        testing.check_bounds(Leaving)


def test_a_check_that_does_not_apply_is_a_skipped_test_of_any_runner():
    assert issubclass(testing.NotApplicable, unittest.SkipTest)


def test_the_suite_needs_no_pytest():
    code = """
import sys
sys.modules["pytest"] = None
import importlib.util
importlib.util.find_spec = lambda name, found=importlib.util.find_spec: (
    None if name == "pytest" else found(name)
)
from optimizers import TNC, testing
testing.check_counts(TNC)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_failure_in_a_package_of_ones_own_shows_what_was_compared(tmp_path):
    (tmp_path / "test_own.py").write_text("""
import numpy as np
import pytest
from optimizers import Optimizer, OptimizerResult, SupportLevel, testing

class Own(Optimizer):
    def get_support_level(self):
        levels = dict.fromkeys(("gradient", "bounds"), SupportLevel.not_supported)
        return {**levels, "initial_point": SupportLevel.required}

    def minimize(self, fun, x0, jac=None, bounds=None):
        fun(np.array(x0))
        return OptimizerResult(x=x0, nfev=2, njev=0)

@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
def test_conformance(check):
    check(Own)
""")
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(tmp_path), "-k", "counts or budget"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "nfev is 2, but 1 points were evaluated: count each." in done.stdout
    assert "where 2 = " in done.stdout  # pytest's own words
    assert "Own.minimize has no parameter 'maxfun'" in done.stdout
    assert "1 failed, 1 skipped" in done.stdout
