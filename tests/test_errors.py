import warnings
from pathlib import Path

import pytest

import optimizers
from optimizers import errors
from optimizers.errors import OptimizerError, OptimizerWarning, nearest_names, warn_user

BUILT_IN = {
    "InvalidInputError": ValueError,
    "CapabilityError": ValueError,
    "OptionError": ValueError,
    "UnknownOptionError": TypeError,
    "MisplacedBoundsError": RuntimeError,
    "EvaluationError": Exception,
    "NonFiniteValueError": ArithmeticError,
    "InvalidValueError": TypeError,
    "NoValueError": TypeError,
    "EvaluationTimeoutError": TimeoutError,
    "WorkerDiedError": RuntimeError,
    "BrokenPoolError": RuntimeError,
    "CrossedBoundsError": ValueError,
    "JournalError": OSError,
    "JournalLockedError": BlockingIOError,
    "JournalMismatchError": ValueError,
    "StepperError": RuntimeError,
    "TooLargeError": MemoryError,
    "MissingExtraError": ImportError,
}


@pytest.mark.parametrize(("name", "built_in"), BUILT_IN.items())
def test_each_error_is_caught_as_ours_and_as_the_built_in_one(name, built_in):
    cls = getattr(errors, name)
    for caught in (OptimizerError, built_in):
        with pytest.raises(caught, match="what to do"):
            raise cls("what to do")


def test_the_table_above_names_every_error_of_the_module():
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, OptimizerError)
    }
    assert classes == {*BUILT_IN, "OptimizerError"}


def test_failed_evaluations_can_be_told_from_bad_input():
    assert issubclass(errors.NonFiniteValueError, errors.EvaluationError)
    assert issubclass(errors.InvalidValueError, errors.EvaluationError)
    assert not issubclass(errors.InvalidInputError, errors.EvaluationError)


def test_the_warning_can_be_filtered_as_a_user_warning():
    assert issubclass(OptimizerWarning, UserWarning)


def call(depth):
    return warn_user("changed to fit") if depth == 0 else call(depth - 1)


def test_a_warning_points_at_the_line_that_called_the_package():
    with pytest.warns(OptimizerWarning, match="changed to fit") as caught:
        call(3)
    assert caught[0].filename == __file__
    assert "warn_user" in Path(__file__).read_text().splitlines()[caught[0].lineno - 1]


def test_a_warning_through_scipy_points_at_the_line_that_called_scipy():
    module = {"__name__": "scipy.optimize._minimize", "warn_user": warn_user}
    exec(compile("def minimize(): warn_user('changed to fit')", "_minimize.py", "exec"), module)
    with pytest.warns(OptimizerWarning) as caught:
        module["minimize"]()
    assert caught[0].filename == __file__


@pytest.mark.parametrize("place", ["optimizers_study/run.py", "optimizers.py"])
def test_a_users_file_beside_the_package_with_a_like_name_is_not_taken_for_it(place):
    path = str(Path(optimizers.__file__).parent.parent / place)
    code = compile("def minimize(): warn_user('changed to fit')", path, "exec")
    users = {"warn_user": warn_user}
    exec(code, users)
    with pytest.warns(OptimizerWarning) as caught:
        users["minimize"]()
    assert caught[0].filename == path


def test_a_warning_can_be_made_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error", OptimizerWarning)
        with pytest.raises(OptimizerWarning):
            warn_user("changed to fit")


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("maxitr", ["ftol", "maxiter"], "Did you mean 'maxiter'?"),
        ("MAXITER", ["ftol", "maxiter"], "Did you mean 'maxiter'?"),
        ("lbfgs", ["TNC", "LBFGSB"], "Did you mean 'LBFGSB'?"),
        ("zzz", ["ftol", "eps"], "Known: eps, ftol."),
        ("zzz", [], "There are none."),
    ],
)
def test_a_misspelled_name_gets_the_nearest_or_all(name, known, sentence):
    assert nearest_names(name, known) == sentence
    assert nearest_names(name, iter(known)) == sentence
