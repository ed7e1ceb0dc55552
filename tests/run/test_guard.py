"""Guards: the objective's error and a budget's end go past a library, whatever it makes of them."""

import numpy as np
import pytest

from optimizers import Optimizer, StopReason, SupportLevel, TellData
from optimizers.flow import Outcome


class LibraryError(Exception):
    """What a library raises instead of what the objective raised."""


def swallowing(fun, x, jac=None):
    """Go on to the next point after any Exception."""
    for step in np.arange(8.0):
        try:
            fun(x + step)
            if jac is not None:
                jac(x + step)
        except Exception:
            continue


def swallowing_all(fun, x, jac=None):
    """Go on after whatever is raised, as compiled code does that cannot carry it."""
    for step in np.arange(8.0):
        for call in (fun, jac):
            try:
                call(x + step)
            except BaseException:
                continue


def converting(fun, x, jac=None):
    """Raise an error of its own, from the objective's."""
    try:
        for step in np.arange(8.0):
            fun(x + step)
    except BaseException as error:
        raise LibraryError("the function failed") from error


def hiding(fun, x, jac=None):
    """Raise an error of its own that does not know the objective's."""
    try:
        converting(fun, x)
    except LibraryError:
        raise LibraryError("no more is known") from None


class Around(Optimizer):
    """An optimizer around a library."""

    def __init__(self, library, **settings):
        super().__init__(**settings)
        self.library = library

    def get_support_level(self):
        return dict.fromkeys(("gradient", "initial_point"), SupportLevel.supported)

    def _solve(self, run):
        with run.guard(run.value) as fun, run.guard(run.gradient) as jac:
            self.library(fun, run.problem.x0, jac)
        # Its end is none, and a reason for which it is not looked beside.
        return Outcome(run.problem.x0, True, 0, "It went through.", StopReason.GRADIENT)


every_library = pytest.mark.parametrize(
    "library", [swallowing, swallowing_all, converting, hiding], ids=lambda call: call.__name__
)


def bowl(x):
    return float(x @ x)


def slope(x):
    return 2 * x


@every_library
@pytest.mark.parametrize(
    "failure",
    [ZeroDivisionError("broken"), KeyboardInterrupt()],
    ids=lambda error: str(type(error)),
)
def test_the_objectives_own_error_comes_out_and_nothing_is_evaluated_after_it(library, failure):
    points = []

    def fun(x):
        points.append(x)
        if len(points) == 3:
            try:
                raise ValueError("why")
            except ValueError:
                raise failure from None
        return bowl(x)

    with pytest.raises(type(failure)) as raised:
        Around(library).minimize(fun, [1.0], slope)
    assert raised.value is failure
    assert not isinstance(failure.__context__, LibraryError)
    assert failure.optimizer_result.nfev == len(points) == 3
    assert failure.optimizer_result.njev == (0 if library in (converting, hiding) else 2)
    assert raised.traceback[-1].name == "fun"


@every_library
def test_the_end_of_a_budget_is_the_end_of_the_run(library):
    points = []
    result = Around(library, maxfun=4).minimize(lambda x: points.append(x) or bowl(x), [1.0], slope)
    assert (result.stop, result.success) == (StopReason.MAXFUN, False)
    assert result.nfev == len(points) == 4
    assert result.fun == 1.0


@every_library
def test_a_gradient_that_fails_ends_the_run_too(library):
    if library in (converting, hiding):  # which take none
        library = swallowing

    def jac(x):
        raise ZeroDivisionError("no slope")

    with pytest.raises(ZeroDivisionError, match="no slope") as raised:
        Around(library).minimize(bowl, [1.0], jac)
    assert raised.value.optimizer_result.nfev == 1


@every_library
def test_a_wish_to_stop_is_the_end_of_the_run(library):
    def fun(x):
        if x[0] > 2.0:
            raise StopIteration
        return bowl(x)

    result = Around(library).minimize(fun, [1.0], slope)
    assert (result.stop, result.nfev) == (StopReason.CALLBACK, 3)


@every_library
def test_a_stepper_that_is_closed_leaves_the_library(library):
    with Around(library).stepper([1.0], jac=True) as stepper:
        ask = stepper.ask()
        stepper.tell(ask, TellData(1.0, [2.0]))
    assert stepper.result().stop is StopReason.CLOSED


@every_library
def test_without_a_failure_a_guard_is_not_noticed(library):
    result = Around(library).minimize(bowl, [1.0], slope)
    assert (result.nfev, result.success) == (8, True)


def test_an_error_of_the_librarys_own_is_its_own():
    def broken(fun, x, jac):
        fun(x)
        raise LibraryError("a bug")

    with pytest.raises(LibraryError, match="a bug") as raised:
        Around(broken).minimize(bowl, [1.0])
    assert raised.value.optimizer_result.nfev == 1


def test_an_error_that_is_raised_again_and_again_has_one_traceback():
    def fun(x):
        raise ZeroDivisionError

    def depth(times):
        def persistent(fun, x, jac):
            for _ in range(times):
                swallowing_all(fun, x, jac)

        with pytest.raises(ZeroDivisionError) as raised:
            Around(persistent).minimize(fun, [1.0])
        return len(raised.traceback)

    assert depth(100) == depth(1)


def test_guards_of_one_run_after_another_do_not_share_what_they_keep():
    outcomes = []

    class Twice(Around):
        def _solve(self, run):
            for _ in range(2):
                try:
                    super()._solve(run)
                except ZeroDivisionError:
                    outcomes.append(run.nfev)
            return Outcome(run.problem.x0, True, 0, "", StopReason.CONVERGED, run.best)

    def fun(x):
        if x[0] == 2.0:
            raise ZeroDivisionError
        return bowl(x)

    Twice(swallowing).minimize(fun, [1.0], slope)
    assert outcomes == [2, 3]
