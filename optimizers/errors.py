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
#: How the note begins that an error from a worker has on where it was raised there.
IN_WORKER = "In the worker:"
#: What of Python's own library carries calls from here to a user's function.
_PYTHONS = ("asyncio", "concurrent", "contextlib", "functools", "multiprocessing", "threading")
#: Where this package's code is, and Python's and what it calls: a user's function is elsewhere.
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
    """The algorithm requires what was not given, or cannot honor what was given."""


class OptionError(OptimizerError, ValueError):
    """An option is given twice with different values, or has a value that cannot be used."""


class UnknownOptionError(OptimizerError, TypeError):
    """An option that the algorithm does not have: the message names the nearest one it has."""


class MisplacedBoundsError(OptimizerError, RuntimeError):
    """Bounds were given to a constructor or in its options instead of to ``minimize``."""


class EvaluationError(OptimizerError):
    """An evaluation of the objective or of its gradient gave something that cannot be used."""


class NonFiniteValueError(EvaluationError, ArithmeticError):
    """An evaluation gave NaN or an infinity."""


class InvalidValueError(EvaluationError, TypeError, ValueError):
    """An evaluation gave a value of the wrong type, shape or number."""


class NoValueError(InvalidValueError):
    """An evaluation gave None, as a function without a ``return`` does."""

    function = "fun"
    """Which function did, ``"fun"`` or ``"jac"``."""


class EvaluationTimeoutError(EvaluationError, TimeoutError):
    """An evaluation took longer than ``eval_timeout``."""


class WorkerDiedError(EvaluationError, RuntimeError):
    """A worker died, and its points cannot be sent to another, or not once more."""


class BrokenPoolError(WorkerDiedError):
    """A pool of workers is broken for good: no point can be evaluated there."""


class JournalError(OptimizerError, OSError):
    """A journal cannot be opened, read or written: its file is not a journal, the disk is full."""


class JournalLockedError(JournalError, BlockingIOError):
    """A journal is being written by another run."""


class JournalMismatchError(JournalError, ValueError):
    """A journal is that of another run: the message shows what differs."""


class StepperError(OptimizerError, RuntimeError):
    """A stepper is asked for what it does not have now, such as the result of a run under way."""


class TooLargeError(OptimizerError, MemoryError):
    """What is asked for would not fit in the machine's memory."""


class MissingExtraError(OptimizerError, ImportError):
    """An optional dependency is not installed: the message names the extra that brings it."""


class OptimizerWarning(OptimizeWarning):  # type: ignore[misc]  # SciPy is untyped
    """Something given by the user is not used as given: ignored, or changed to fit."""


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
    except Exception:  # of the user's: its type is all that can be had
        return type(error).__name__


#: What is no option but of an algorithm for residuals: it belongs to the objective.
_OF_RESIDUALS = ("loss", "f_scale")


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Return a sentence that helps to mend a misspelt name, by the names that are known."""
    names = sorted(known)
    if name in _OF_RESIDUALS:
        return f"It goes with residuals: mark the objective, residuals(fun, {name}=...)."
    lowered = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    if near:
        return f"Did you mean {lowered[near[0]]!r}?"
    return f"Known: {', '.join(names)}." if names else "It has none."


def release(error: BaseException | None) -> None:
    """Let go of what finished frames of this package hold that an error keeps alive.

    Some hold the error itself: in such a circle, the objective and its data would live on.
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
    """Cut the frames of this package off a traceback that are before those of a user's function.

    Of an error of its own, or one that a worker raised, the last one stays; of any other that no
    function of the user's raised, which may be a bug here, all do.
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
                # Not by an assignment, which a class of the user's may refuse.
                BaseException.with_traceback(error, following or traceback)
                break
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__


def is_inner(filename: str) -> bool:
    """Return whether code is of this package, or of what it calls with a user's function."""
    return filename.startswith(_INNER)


def _is_cleared(frame: FrameType) -> bool:
    """Clear a frame of the package's own that has ended, and return whether it is one."""
    if not frame.f_code.co_filename.startswith(_PACKAGE):
        return False
    try:
        frame.clear()
    except RuntimeError:  # it is at work
        return False
    return True
