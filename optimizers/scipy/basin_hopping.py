"""SciPy's basin hopping, with any optimizer for its local searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.errors import OptionError, warn_user
from optimizers.evaluation.marks import vectorized
from optimizers.flow import FlowSettings
from optimizers.gradients.differences import Differences
from optimizers.optimizer import Optimizer
from optimizers.options.table import Check, Option, number, refused, whole
from optimizers.problem.derivatives import By
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.endings import all_fixed
from optimizers.scipy.free_variables import FreeVariables
from optimizers.scipy.gradient import LBFGSB
from optimizers.support import SupportLevel, SupportLevels, Traits

_EPS = float(np.finfo(np.float64).eps)
_DEFAULT = LBFGSB()


def _test_local(name: str, value: Any) -> None:
    if not isinstance(value, Optimizer):
        raise refused(name, value, "an Optimizer: an object, not a class")
    if value._level("residuals") == SupportLevel.required:
        raise OptionError(f"{name} is {value!r}, which requires residuals, expected one of values.")


class BasinHopping(Optimizer):
    """Local searches from hops between their ends: :func:`scipy.optimize.basinhopping`.

    A hop moves each variable by at most ``stepsize``, and the search from there is accepted if its
    end is lower, or by chance. Any optimizer can be the local one: it has the problem's gradient,
    bounds and constraints, and its own options and limits for each hop. An iteration is a hop, and
    the first is the search from ``x0``.

    Its only test of convergence is ``niter_success``: a run that ends after ``niter`` hops is not a
    success, however good its end.

    References
    ----------
    .. [1] D. J. Wales and J. P. K. Doye, "Global optimization by basin-hopping and the lowest
       energy structures of Lennard-Jones clusters containing up to 110 atoms", Journal of Physical
       Chemistry A 101 (1997) 5111-5116.

    Examples
    --------
    >>> from optimizers import TNC
    >>> def fun(x):
    ...     return (x[0] ** 2 - 1) ** 2 + 0.1 * x[0]
    >>> BasinHopping(niter=20, stepsize=2.0, local=TNC(), seed=1).minimize(fun, [1.0]).x.round(2)
    array([-1.01])
    """

    traits = Traits(
        "Many minima that lie close together, such as those of clusters of atoms.",
        parallel=True,
        global_search=True,
        random=True,
    )
    support_levels = _DEFAULT.support_levels
    #: The local searches do.
    handles_noise = True

    _declared: tuple[Option, ...] = (
        Option("niter", 100, whole(0)).means("Number of hops."),
        Option("T", 1.0, number(0)).means(
            "Temperature: about the difference of values between neighboring minima."
        ),
        Option("stepsize", 0.5, number(0, ends="()")).means(
            "Largest change of a variable in a hop, at first."
        ),
        Option("interval", 50, whole(1)).means("After how many hops ``stepsize`` is adapted."),
        Option("niter_success", None, whole(0).or_none).means(
            "The run converges when so many hops in a row find no lower minimum."
        ),
        Option("target_accept_rate", 0.5, number(0, 1, "()")).means(
            "What part of the hops is to be accepted, to which ``stepsize`` is adapted."
        ),
        Option("stepwise_factor", 0.9, number(0, 1, "()")).means(
            "By what factor ``stepsize`` is adapted."
        ),
        Option("local", None, Check("Optimizer", _test_local).or_none).means(
            "The optimizer of the local searches; ``LBFGSB()`` by default."
        ),
    )

    def __init__(
        self,
        niter: int = 100,
        T: float = 1.0,  # noqa: N803  # SciPy's name
        stepsize: float = 0.5,
        interval: int = 50,
        niter_success: int | None = None,
        target_accept_rate: float = 0.5,
        stepwise_factor: float = 0.9,
        local: Optimizer | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        options = self._gathered(locals())
        super().__init__(**settings)
        self.set_options(**options)

    @property
    def _local(self) -> Optimizer:
        return self._options.get("local") or _DEFAULT

    @override
    def _alone(self) -> str | None:
        return self._local._alone()

    @override
    def _needs_thread(self) -> bool:
        return self._local._needs_thread()

    @override
    def get_support_level(self) -> SupportLevels:
        """Return what the optimizer of the local searches supports."""
        return self._local.get_support_level()

    @override
    def _solve(self, run: Run) -> Outcome:
        if run.problem.is_fixed:
            return all_fixed(run.problem)
        options = {name: value for name, value in self._options.items() if name != "local"}
        with (
            run.guard(_searching(self._local, run)) as search,
            run.guard(lambda x, value, is_accepted: _note(run, x)) as note,
        ):
            raw = scipy.optimize.basinhopping(
                run.value,
                run.problem.x0.copy(),
                minimizer_kwargs={"method": search},
                callback=note,
                rng=run.rng,
                **options,
            )
        message = " ".join(raw.message)
        is_met = raw.success and "condition" in message
        stop = StopReason.CONVERGED if is_met else StopReason.MAXITER
        best = run.best
        x = raw.x if best is None or run.problem.constraints else best.x
        return Outcome(x, is_met, int(not is_met), message, stop)


def _note(run: Run, x: Array) -> None:
    run.iterated(x, run.memory.lookup(x))


def _searching(local: Optimizer, run: Run) -> Callable[..., OptimizerResult]:
    """Return the local search from a point, as a method for SciPy's ``minimize``.

    It is a run of its own, of which each wave is one of the whole run.
    """
    problem = run.problem
    derivatives, bounds = problem.derivatives, FreeVariables(problem, False).bounds
    noise = run.noise or 0
    if noise and not (local.handles_noise or local._takes_differences(problem)):
        warn_user(f"{local._title} uses no finite differences here: noise has no effect.")
        noise = 0
    # The points of complex steps are none of the objective's.
    is_complex = derivatives in (By(scheme="cs"), By(source=Differences("cs")))
    is_ours = derivatives.is_given or is_complex
    given: dict[str, Any] = {
        "constraints": [constraint.for_scipy for constraint in problem.constraints],
        "hess": run.counted_hessian(problem.hess) if callable(problem.hess) else problem.hess,
        "hessp": problem.hessp and run.counted_hessian(problem.hessp),
        "noise": noise,
    }

    def values(points: Array) -> Array:
        found = [known.fun for known in run.ask(list(points)).found if known is not None]
        # Of the precision that the values have: steps of differences depend on it.
        return np.array(found, dtype=np.float32 if run.precision > _EPS else np.float64)

    def search(fun: Any, x0: Array, **unused: Any) -> OptimizerResult:
        with run.guard(values) as wave, run.guard(run.gradient) as gradient:
            # Where a point costs a call, none is asked for that may not be needed.
            one = (lambda x: wave(x[np.newaxis])[0]) if run.calls_singly else vectorized(wave)
            jac = gradient if is_ours else derivatives.jac
            return local.minimize(one, problem.clip(x0), jac, bounds, seed=run.rng, **given)

    return search
