"""DFO-LS and Py-BOBYQA: model-based trust regions without derivatives, as optimizers."""

import dfols
import numpy as np
import pybobyqa
from dfols.params import ParameterList as DFOLSParameters
from pybobyqa.params import ParameterList as PyBOBYQAParameters

from optimizers import OptionError, StopReason, SupportLevel, Traits, UnknownOptionError
from optimizers.flow import (
    Check,
    ConfiguredOptimizer,
    Option,
    Outcome,
    Run,
    ended,
    levels,
    number,
    whole,
)

#: The budget is the run's.
NO_LIMIT = 2**31 - 1
#: A list of this length, by default of the length of the budget, is made at each start.
HISTORY = {"restarts.soft.max_fake_successful_steps": 1000}
#: The libraries take this for no bound.
FAR = 1e20


def parameters(kind):
    """Return the check for a dict of a library's parameters, which ``kind`` has by their names."""
    known = kind(1, 3, NO_LIMIT).params

    def test(name, value):
        if not isinstance(value, dict):
            raise OptionError(f"{name} is {value!r}, expected a dict of parameters by name.")
        for key in value:
            if key not in known:
                raise UnknownOptionError(f"{name} has {key!r}, expected some of {sorted(known)}.")

    return Check("dict", test)


def declared(points, kind):
    """Return the options, which both libraries have."""
    return (
        Option("rhobeg", None, number(0, ends="()")).means(
            "The first radius: by default a tenth of the largest variable at the start, and at "
            "least 0.1. At most half the width of the narrowest bounds is used."
        ),
        Option("rhoend", 1e-8, number(0, ends="()")).means("The radius at which it has converged."),
        Option("npt", None, whole(2)).means(f"How many points a model has: by default {points}."),
        Option("user_params", None, parameters(kind)).means(
            "The library's parameters, as in its documentation. Soft restarts draw from NumPy's "
            "global random numbers, so that a seed does not repeat them."
        ),
    )


class _TrustRegion(ConfiguredOptimizer):
    """What both have in common."""

    handles_noise = True
    _tolerances = ("rhoend",)

    def __init__(self, rhobeg=None, rhoend=1e-8, npt=None, user_params=None, **settings):
        options = {"rhobeg": rhobeg, "rhoend": rhoend, "npt": npt, "user_params": user_params}
        super().__init__(options, **settings)

    def _check_options(self, options):
        if options["rhobeg"] is not None and options["rhobeg"] <= options["rhoend"]:
            raise OptionError(f"rhobeg is {options['rhobeg']}, expected more than rhoend.")

    def _solve(self, run):
        problem = run.problem
        if problem.is_fixed:
            return ended(problem.x0, StopReason.FIXED)
        free = np.less(*problem.box)  # the libraries refuse equal bounds
        lower, upper = (np.clip(side[free], -FAR, FAR) for side in problem.box)
        start = problem.x0[free]
        rhobeg = self.rhobeg or 0.1 * max(1.0, np.abs(start).max())
        rhobeg = min(rhobeg, (upper - lower).min() / 2)
        is_noisy = run.noise not in (None, 0)

        def told(part):
            x = problem.x0.copy()
            x[free] = part
            answer = self._ask(run, x)
            run.iterated(run.best.x, run.best)  # the libraries tell of nothing but questions
            return answer

        with run.guard(told) as fun:
            raw = self._library.solve(
                fun,
                start,
                bounds=(lower, upper),
                npt=self.npt,
                rhobeg=rhobeg,
                rhoend=min(self.rhoend, rhobeg / 10),
                maxfun=NO_LIMIT,
                objfun_has_noise=is_noisy,
                user_params={**HISTORY, **self._noise(run), **(self.user_params or {})},
                do_logging=False,
            )
        if raw.flag == raw.EXIT_INPUT_ERROR:
            raise OptionError(f"{type(self).__name__} cannot start. {raw.msg}")
        stop = StopReason.OTHER
        if raw.flag == raw.EXIT_SUCCESS:
            stop = StopReason.NOISE if is_noisy else StopReason.STEP
        elif raw.flag in (raw.EXIT_SLOW_WARNING, raw.EXIT_FALSE_SUCCESS_WARNING):
            stop = StopReason.NO_PROGRESS
        best = run.best
        return Outcome(best.x, raw.flag == raw.EXIT_SUCCESS, raw.flag, raw.msg, stop, best)

    def _noise(self, run):
        if run.noise in (None, 0):
            return {}
        level = None if run.noise == "estimate" else self._factor * run.noise
        return {"restarts.use_soft_restarts": False, "noise.additive_noise_level": level}


class DFOLS(_TrustRegion):
    """DFO-LS: least squares without derivatives, by linear models of the residuals.

    The objective returns residuals, shape (m,), and need not be marked by ``residuals``. With
    ``noise``, a standard deviation of the value or ``"estimate"``, it is restarted until restarts
    do not help.
    """

    traits = Traits(
        "Fits without derivatives, exact or noisy, when a point is expensive.", noise=True
    )
    support_levels = levels(gradient=SupportLevel.ignored, residuals=SupportLevel.required)
    _declared = declared("n + 1", DFOLSParameters)
    _library, _ask = dfols, staticmethod(Run.residuals)
    _factor = 2  # its value is the sum of squares, not half of it


class PyBOBYQA(_TrustRegion):
    """Py-BOBYQA: minimization without derivatives, by quadratic models of the values.

    With ``noise``, a standard deviation of the value or ``"estimate"``, it is restarted until
    restarts do not help.
    """

    traits = Traits("Few variables without derivatives, exact or noisy, with bounds.", noise=True)
    support_levels = levels(gradient=SupportLevel.ignored)
    _declared = declared("2 n + 1, with noise (n + 1) (n + 2) / 2", PyBOBYQAParameters)
    _library, _ask = pybobyqa, staticmethod(Run.value)
    _factor = 1
