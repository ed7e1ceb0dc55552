"""The return codes of TNC, in words and as reasons for stopping."""

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
