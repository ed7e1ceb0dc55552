"""Every error this package raises, and its warning.

Each derives also from the built-in exception that users of SciPy or Qiskit would expect.
"""

import difflib
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

import numpy
import scipy
from scipy.optimize import OptimizeWarning

_PACKAGE = str(Path(__file__).parent) + os.sep
#: How the note begins that says where in the worker an error was raised.
IN_WORKER = "In the worker:"
#: The modules of the standard library that carry calls from here to a user's function.
_PYTHONS = ("asyncio", "concurrent", "contextlib", "functools", "multiprocessing", "threading")
#: Where the code of this package, of Python and of what it calls is: user functions are elsewhere.
_INNER = (
    _PACKAGE,
    "<frozen ",
    *(str(Path(str(module.__file__)).parent) + os.sep for module in (numpy, scipy)),
    *(sysconfig.get_path("stdlib") + os.sep + name for name in _PYTHONS),
)


class OptimizerError(Exception):
    """Base of every error that this package raises.

    Errors that end a run carry its result so far in the attribute ``optimizer_result``.
    """


class InvalidInputError(OptimizerError, ValueError):
    """An argument has a value that cannot be used: the message says what to pass instead."""


class CrossedBoundsError(InvalidInputError):
    """A lower bound is above the upper one: no point can meet the bounds."""


class CapabilityError(InvalidInputError):
    """The algorithm requires something that was not given, or cannot honor something that was."""


class OptionError(OptimizerError, ValueError):
    """An option is given twice with different values, or has a value that cannot be used."""


class UnknownOptionError(OptimizerError, TypeError):
    """An option that the algorithm does not have: the message names the nearest one it has."""


class MisplacedBoundsError(OptimizerError, RuntimeError):
    """Bounds were given to a constructor or in its options instead of to ``minimize``."""


class EvaluationError(OptimizerError):
    """An evaluation of the objective or of its gradient returned something that cannot be used."""


class NonFiniteValueError(EvaluationError, ArithmeticError):
    """An evaluation returned NaN or an infinity."""


class InvalidValueError(EvaluationError, TypeError, ValueError):
    """An evaluation returned a value of the wrong type or shape, or too many or too few of them."""


class NoValueError(InvalidValueError):
    """An evaluation returned None, as a function without a ``return`` does."""

    function = "fun"
    """Which function did, ``"fun"`` or ``"jac"``."""


class EvaluationTimeoutError(EvaluationError, TimeoutError):
    """An evaluation took longer than ``eval_timeout``."""


class WorkerDiedError(EvaluationError, RuntimeError):
    """A worker died, and its points cannot be sent to another one, or not again."""


class BrokenPoolError(WorkerDiedError):
    """A pool of workers is broken for good: no point can be evaluated there."""


class JournalError(OptimizerError, OSError):
    """A journal cannot be opened, read or written: its file is not a journal, the disk is full."""


class JournalLockedError(JournalError, BlockingIOError):
    """A journal is being written by another run."""


class JournalMismatchError(JournalError, ValueError):
    """A journal belongs to another run: the message shows what differs."""


class StepperError(OptimizerError, RuntimeError):
    """A stepper was asked for something it does not have yet, such as the result."""


class TooLargeError(OptimizerError, MemoryError):
    """The request would not fit in the machine's memory."""


class MissingExtraError(OptimizerError, ImportError):
    """An optional dependency is not installed: the message says which package to install."""


class OptimizerWarning(OptimizeWarning):  # type: ignore[misc]  # SciPy is untyped
    """Something that the user gave is ignored, or was changed to fit."""


class AmbiguousBoundsWarning(OptimizerWarning):
    """Bounds of two variables are taken for two (low, high) pairs, but may mean lows and highs."""


class FrequencyWarning(OptimizerWarning):
    """Along a variable, the objective is not a sum of sinusoids of the assumed frequencies."""


def warn_user(message: str, category: type[Warning] = OptimizerWarning) -> None:
    """Warn at the user's line that called the package or SciPy."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_between(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_between(frame: FrameType) -> bool:
    """Return whether a frame is the package's own, or SciPy's or a context's, between its own."""
    module = str(frame.f_globals.get("__name__"))
    is_own = frame.f_code.co_filename.startswith(_PACKAGE)
    return is_own or module == "contextlib" or module.startswith("scipy.")


def words_of(error: BaseException) -> str:
    """Return an error in words, whatever its ``str`` does."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # of the user's class: only its type is known
        return type(error).__name__


#: Names that are given elsewhere, and are options of few algorithms or none.
_ELSEWHERE = {
    **dict.fromkeys(
        ("loss", "f_scale"), "It applies to residuals: mark the objective, residuals(fun, {}=...)."
    ),
    **dict.fromkeys(
        ("fixed", "vary"), "Param(value, fixed=True) in x0 fixes a variable; so do equal bounds."
    ),
    **dict.fromkeys(("algorithm", "solver"), "minimize(fun, x0, method=...) takes one."),
    **dict.fromkeys(
        ("diff_step", "rel_step"), "Steps are part of jac: jac=Differences(relative_step=...)."
    ),
    **dict.fromkeys(("bound", "bounds"), "minimize(fun, x0, bounds=...) takes them."),
    "args": "minimize(fun, x0, args) takes them. As method= of scipy.optimize.minimize, give an "
    "object, not a class.",
}
#: Names of the same thing, here and in other libraries.
_SYNONYMS = (
    ("seed", "rng", "random_state", "random_seed"),
    ("workers", "n_jobs", "n_cores", "n_workers", "processes"),
    ("maxfun", "n_trials", "max_evals", "max_nfev", "maxeval", "budget"),
    ("maxiter", "n_iter", "num_iterations", "iterations", "epochs", "steps"),
    ("progress", "verbose", "show_progress"),
    ("journal", "storage", "logging"),
    ("learning_rate", "lr", "step_size", "stepsize"),
    ("bounds", "bound"),
    ("maximize", "direction"),
    ("scale", "scaling"),
    ("--optimizer", "--method", "--algorithm", "--solver"),
)


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Return a sentence that helps to correct a misspelled name."""
    names = sorted(set(known))
    same = (other for group in _SYNONYMS if name in group for other in group)
    meant = next((other for other in same if other in names), None)
    if meant is not None:
        return f"Did you mean {meant!r}?"
    if name in _ELSEWHERE:
        return _ELSEWHERE[name].format(name)
    lowered = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=5)
    if near:
        # Letters in another order are likelier than other letters.
        first = min(near, key=lambda other: sorted(other) != sorted(name.lower()))
        return f"Did you mean {lowered[first]!r}?"
    return f"Known: {', '.join(names)}." if names else "There are none."


def release(error: BaseException | None) -> None:
    """Clear the finished frames of this package that an error keeps alive.

    Some of them hold the error itself: such a cycle would keep the objective and its data alive.
    """
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            frame: FrameType | None = traceback.tb_frame
            while frame is not None and _is_cleared(frame):  # and those that called it
                frame = frame.f_back
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__


def show_user_first(error: BaseException | None) -> None:
    """Remove from a traceback the frames of this package that precede those of a user's function.

    The last one stays if the error is this package's own or comes from a worker; all stay if no
    user function raised it, which may be a bug here.
    """
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        notes = getattr(error, "__notes__", ())
        is_known = isinstance(error, OptimizerError) or any(
            IN_WORKER in str(note) for note in notes
        )
        traceback = error.__traceback__
        while traceback is not None and is_inner(traceback.tb_frame.f_code.co_filename):
            if traceback.tb_next is None and not is_known:
                break
            following = traceback.tb_next
            if following is None or not is_inner(following.tb_frame.f_code.co_filename):
                # Not by an assignment, which a user's class may refuse.
                BaseException.with_traceback(error, following or traceback)
                break
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__


def is_inner(filename: str) -> bool:
    """Return whether code is of this package, or of what it calls with a user's function."""
    return filename.startswith(_INNER)


def _is_cleared(frame: FrameType) -> bool:
    """Clear a frame of this package if it has ended, and return whether it is one."""
    if not frame.f_code.co_filename.startswith(_PACKAGE):
        return False
    try:
        frame.clear()
    except RuntimeError:  # it is still running
        return False
    return True
