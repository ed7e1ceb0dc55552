"""The return codes of TNC, their messages and stop reasons, and the levels of output."""

from optimizers.result import StopReason

INFEASIBLE = -1
LOCALMINIMUM = 0
FCONVERGED = 1
XCONVERGED = 2
MAXFUN = 3
LSFAIL = 4
CONSTANT = 5
NOPROGRESS = 6
USERABORT = 7

RCSTRINGS = {
    INFEASIBLE: "Infeasible (lower bound > upper bound)",
    LOCALMINIMUM: "Local minimum reached (|pg| ~= 0)",
    FCONVERGED: "Converged (|f_n-f_(n-1)| ~= 0)",
    XCONVERGED: "Converged (|x_n-x_(n-1)| ~= 0)",
    MAXFUN: "Max. number of function evaluations reached",
    LSFAIL: "Linear search failed",
    CONSTANT: "All lower bounds are equal to the upper bounds",
    NOPROGRESS: "Unable to progress",
    USERABORT: "User requested end of minimization",
}

REASONS = {
    INFEASIBLE: StopReason.INFEASIBLE,
    LOCALMINIMUM: StopReason.GRADIENT,
    FCONVERGED: StopReason.FUN,
    XCONVERGED: StopReason.STEP,
    MAXFUN: StopReason.MAXFUN,
    LSFAIL: StopReason.NO_PROGRESS,
    CONSTANT: StopReason.FIXED,
    NOPROGRESS: StopReason.NO_PROGRESS,
    USERABORT: StopReason.CALLBACK,
}

MSG_NONE = 0
MSG_ITER = 1
MSG_INFO = 2
MSG_VERS = 4
MSG_EXIT = 8
MSG_ALL = MSG_ITER + MSG_INFO + MSG_VERS + MSG_EXIT

MSGS = {
    MSG_NONE: "No messages",
    MSG_ITER: "One line per iteration",
    MSG_INFO: "Informational messages",
    MSG_VERS: "Version info",
    MSG_EXIT: "Exit reasons",
    MSG_ALL: "All messages",
}


def mask_of(level: int | None) -> int:
    """Return the bit mask for SciPy's integer interface: 0 none, …, 5 all messages."""
    return MSG_NONE if level is None else dict(enumerate(MSGS)).get(level, MSG_ALL)
