"""Exit codes, and the line that says which error ended a command."""

import sys
import traceback

from optimizers.errors import OptimizerError, is_inner, words_of

CONVERGED, ERROR, USAGE, STOPPED = 0, 1, 2, 3
INTERRUPTED = 130  # what shells report for Ctrl-C


def show_error(error: BaseException) -> int:
    """Print an error, after the lines of the user's own code that led to it; return the code."""
    has_result = hasattr(error, "optimizer_result")
    if isinstance(error, KeyboardInterrupt):
        if not has_result:  # which says so
            print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    user, words = _of_user(error), words_of(error)
    is_known = isinstance(error, OptimizerError) or (isinstance(error, OSError) and not user)
    if isinstance(error, OptimizerError):
        words = str(error)
    elif is_known and isinstance(error, OSError):  # of a file that was named on the command line
        words = f"{error.filename}: {error.strerror}." if error.filename else str(error)
    else:
        print("".join(traceback.format_list(user)), end="", file=sys.stderr)
    if isinstance(error, SystemExit):
        words = "Your function, or its file, called sys.exit, which does not end a run here."
    print(f"error: {words}", file=sys.stderr)
    # Without a result nothing was evaluated: what was asked for cannot be done.
    return USAGE if is_known and not has_result else ERROR


def is_closed_pipe(error: BaseException) -> bool:
    """Return whether nobody reads the output any more, as after ``| head``."""
    return isinstance(error, BrokenPipeError) and not _of_user(error)


def _of_user(error: BaseException) -> list[traceback.FrameSummary]:
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if not is_inner(frame.filename)]
