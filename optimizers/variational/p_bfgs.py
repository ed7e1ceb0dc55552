"""L-BFGS-B from several starts at a time."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.drivers import AskingEvaluator, driver_for, told
from optimizers.asktell.messages import AskData, TellData
from optimizers.asktell.stepper import Stepper
from optimizers.errors import EvaluationError
from optimizers.flow import Flow, Step, drive
from optimizers.lockstep.results import OptimizerResults
from optimizers.options.table import LEVEL, Option, whole
from optimizers.problem.derivatives import Joint
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.options import like
from optimizers.scipy.scipy_optimizer import BudgetedSettings, SciPyOptimizer
from optimizers.support import Traits

#: The default number of further starts, on any machine.
_FURTHER = 3
#: Their maximum distance from x0 if there is no bound.
_REACH = np.pi
#: The step of the differences if no gradient is given.
_STEP = 1e-8
#: The options that the single runs do not have.
_SHARED = ("maxfun", "iprint", "max_processes", "eps", "finite_diff_rel_step", "disp")


class P_BFGS(SciPyOptimizer):  # noqa: N801  # Qiskit's name
    """L-BFGS-B from several starts at a time, which advance together (P-BFGS).

    One run starts at ``x0``, the others at random points. The values, and gradients with their
    probes, that they need next form one wave, so that workers that one run would leave idle may
    find a lower minimum. The result is that of the run with the lowest value; ``run`` is its
    number, and ``results`` has those of all runs, the one from ``x0`` first.

    The other starts are drawn uniformly within the bounds; on a side without a bound, within pi of
    ``x0``. This applies to starts only: no bounds are added.

    Notes
    -----
    Iterations are those of all runs. Callbacks see each of them; their ``intermediate_result`` has
    the number of the run in its entry ``run``. In ``results``, a wave's evaluations are distributed
    evenly among its runs. ``noise`` has no effect.

    References
    ----------
    .. [1] R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound
       constrained optimization", SIAM Journal on Scientific Computing 16 (1995) 1190-1208.

    Examples
    --------
    >>> def fun(x):  # two minima in each variable, the lower on the left
    ...     return float(np.sum((x**2 - 1) ** 2 + 0.1 * x))
    >>> result = P_BFGS(max_processes=7).minimize(fun, [1.0, 1.0], seed=2)
    >>> result.x.round(1), len(result.results), result.nfev == result.results.nfev
    (array([-1., -1.]), 8, True)
    """

    traits = Traits(
        "Several minima: L-BFGS-B from the start and random ones, all in one wave.",
        parallel=True,
        global_search=True,
        random=True,
    )

    _method_name = "L-BFGS-B"
    _declared: tuple[Option, ...] = (
        like("maxfun", default=1000).means(
            "Maximum number of points at which the objective is evaluated, by all runs together "
            "and including probes of finite differences: a hard limit."
        ),
        Option("iprint", -1, LEVEL).means(
            "What to print at the end: negative, nothing; otherwise one line for the best run."
        ),
        Option("max_processes", None, whole(0)).means(
            "The number of runs besides the one from ``x0``; 3 by default. Their points and "
            "gradients can be evaluated at the same time, by ``workers``."
        ),
    )

    def __init__(
        self,
        maxfun: int = 1000,
        ftol: float = 10 * float(np.finfo(np.float64).eps),
        iprint: int = -1,
        max_processes: int | None = None,
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[BudgetedSettings],
    ) -> None:
        gathered = self._gathered(locals())
        gathered.setdefault("eps", _STEP)  # as LBFGSB's constructor names it
        super().__init__(self._method_name, gathered, max_evals_grouped, **kwargs)

    @override
    def _takes_differences(self, problem: Problem) -> bool:
        return False  # noise has no effect

    @override
    def _solve(self, run: Run) -> Outcome:
        if run.problem.is_fixed:
            return super()._solve(run)
        return drive(run, self._flow(run))

    def _flow(self, run: Run) -> Flow:
        """Return all runs as one flow."""
        options = {k: copy.copy(v) for k, v in self._options.items() if k not in _SHARED}
        single = SciPyOptimizer("L-BFGS-B", options, tol=self._tol)
        runs = [_Single(single, run, start, i) for i, start in enumerate(self._starts(run))]
        asking: list[_Single] = []
        counted = run.nfev
        try:
            while asking := [one for one in runs if not one.stepper.done]:
                asks = [np.asarray(one.stepper.ask().x_fun) for one in asking]
                points, ends = np.concatenate(asks), np.cumsum([len(ask) for ask in asks])[:-1]
                wave = yield AskData(points, points)
                _share_out(run.nfev - counted, asking)
                counted = run.nfev
                assert wave.known is not None
                answers = (np.split(a, ends) for a in (wave.fun, wave.jac, wave.known))
                for one, *answer in zip(asking, *answers, strict=True):
                    one.tell(*answer)
                    yield from one.steps
                    one.steps.clear()
        finally:
            _share_out(run.nfev - counted, asking)
            results = OptimizerResults(one.result() for one in runs)
            best = results.best
            entries: dict[str, Any] = {} if best is None else best
            found: dict[str, Any] = {k: entries[k] for k in ("run", "hess_inv") if k in entries}
            # A run among many keeps its own number.
            run.extra.update({**found, **run.extra, "results": results})
        assert best is not None  # the start is known, or the run has ended with its error
        known = runs[best.run].searched(best)
        return Outcome(best.x, best.success, best.status, best.message, best.stop, known)

    def _starts(self, run: Run) -> list[Array]:
        """Return where the runs start."""
        problem, further = run.problem, self._options.get("max_processes")
        x0 = problem.x0
        low, high = problem.box
        low = np.where(np.isfinite(low), low, x0 - _REACH)
        high = np.where(np.isfinite(high), high, x0 + _REACH)
        part = run.rng.random(size=(_FURTHER if further is None else int(further), x0.size))
        # Separately, since the difference of bounds may overflow.
        return [x0, *(problem.clip(x) for x in (1 - part) * low + part * high)]


def _share_out(spent: int, among: list[_Single]) -> None:
    """Distribute the evaluations of a wave evenly."""
    for i, one in enumerate(among):
        one.nfev += spent // len(among) + (i < spent % len(among))


class _Single:
    """One of the runs: its start and its number."""

    def __init__(self, optimizer: SciPyOptimizer, whole: Run, start: Array, number: int) -> None:
        self._number, self._sign = number, whole.problem.sign
        self._has_jac = whole.problem.derivatives.is_given
        #: The finished iterations.
        self.steps: list[Step] = []
        #: The evaluations that were spent on it.
        self.nfev = 0
        # It is told gradients of the value, even if the objective has residuals.
        problem = replace(whole.problem, fun=told, x0=start, derivatives=Joint())
        problem = replace(problem, loss=None, parameters=None)
        # Whatever ends all runs never gets here.
        evaluator, settings = AskingEvaluator(), {"callback": self._note, "on_failure": "reject"}
        prepared = optimizer._prepared(problem, settings, evaluator)
        # It is never pickled, so it keeps no log of answers.
        self.stepper = Stepper(prepared.run, driver_for(prepared, evaluator))

    def _note(self, intermediate_result: OptimizerResult) -> None:
        known = self.searched(intermediate_result)
        self.steps.append(Step(known.x, known.fun, known.jac, {"run": self._number}))

    def searched(self, result: OptimizerResult) -> Evaluation:
        """Return the end of a result as the search knows it: results have the user's sign."""
        assert result.fun is not None
        jac = None if result.jac is None else self._sign * result.jac
        return Evaluation(result.x, self._sign * result.fun, jac)

    def tell(self, fun: Array, jac: Array, known: NDArray[np.bool_]) -> None:
        """Answer; a point that is not known was rejected."""
        is_known, rejected = bool(known.all()), EvaluationError("The point was rejected.")
        answer = TellData(fun, jac) if is_known else rejected
        self.stepper.tell(self.stepper.ask(), answer)

    def result(self) -> OptimizerResult:
        """Return its result, or that so far."""
        is_done = self.stepper.done
        self.stepper.close()  # its findings are in the result so far
        try:
            result = self.stepper.result() if is_done else self.stepper.so_far()
        except EvaluationError as error:  # its start was rejected
            error.__traceback__ = error.__context__ = None  # their frames hold the whole run
            result = self.stepper.so_far()
            result.update(stop=StopReason.FAILED, message=str(error), error=error)
        result.update(run=self._number, nfev=self.nfev)
        result.njev = result.njev if self._has_jac else 0
        return result
