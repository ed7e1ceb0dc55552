"""A run with a journal: what is recorded is answered from there, what is not is recorded."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import HessianUpdateStrategy
from typing_extensions import override

from optimizers._types import Array
from optimizers.errors import JournalError, warn_user
from optimizers.evaluation.evaluator import Evaluator
from optimizers.journal.evaluator import JournaledEvaluator
from optimizers.journal.functions import recorded_fun, recorded_hessian, recorded_jac
from optimizers.journal.journal import Journal
from optimizers.journal.recorder import Diverged, Recorder
from optimizers.journal.records import Kind, Record
from optimizers.result import OptimizerResult
from optimizers.run.memory import NOWHERE, Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run

_COUNTS = ("nfev", "njev", "nhev", "nit", "nrejected")


class JournaledRun(Run):
    """A run with a journal.

    Parameters
    ----------
    journal : Journal
        Where it is recorded.
    header : dict
        Which run it is.
    *arguments, **settings
        As for :class:`Run`.
    """

    def __init__(
        self, journal: Journal, header: dict[str, Any], *arguments: Any, **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self._journal = journal
        self._header = {
            **header,
            "serial": self._evaluator.calls_points,
            "has_workers": self._evaluator.has_workers,
        }
        self._recorder: Recorder
        self._first_differences = self.differences

    @override
    def execute(self, solve: Callable[[Run], Outcome]) -> OptimizerResult:
        try:
            self._recorder = Recorder(self._journal, self._header, self._seed)
        except BaseException:
            self._evaluator.close()
            raise
        try:
            self._seed = self._recorder.seed
            self._record_calls()
            self._go_on()
            result = super().execute(solve)
        except BaseException as error:
            known = getattr(error, "optimizer_result", None)
            so_far = known.to_dict() if isinstance(known, OptimizerResult) else None
            try:
                self._recorder.end(so_far, f"{type(error).__name__}: {error}")
            except Exception as second:
                # The journal's own failure, as a full disk, must not hide what ended the run.
                error.add_note(f"The journal has no record of this end: {second}")
            raise
        else:
            self._record_end(result)
            return result
        finally:
            self._recorder.close()

    def _record_end(self, result: OptimizerResult) -> None:
        try:
            self._recorder.end(result.to_dict())
        except JournalError as error:
            error.optimizer_result = result  # type: ignore[attr-defined]  # documented attribute
            raise

    def _record_calls(self) -> None:
        """Put the journal between the run and the user's functions."""
        recorder, problem = self._recorder, self.problem
        wrapped: dict[str, Any] = {}
        is_direct = self._evaluator.calls_points and type(self._evaluator) is Evaluator
        # Algorithms ask other points where points travel in waves: the recorded way is gone on.
        if is_direct and recorder.contents.header["serial"]:
            # The functions themselves are wrapped, so that solvers call them as directly as ever.
            kind: Kind = "both"
            if problem.jac is True:
                wrapped["fun"] = recorded_jac(recorder, problem.fun, kind)
            else:
                wrapped["fun"] = recorded_fun(recorder, problem.fun)
            if callable(problem.jac):
                wrapped["jac"] = recorded_jac(recorder, problem.jac)
            self._evaluator = Evaluator(wrapped["fun"])
        else:
            self._evaluator = JournaledEvaluator(self._evaluator, recorder, problem.fun)
        for kind in ("hess", "hessp"):
            user = getattr(problem, kind)
            if callable(user) and not isinstance(user, HessianUpdateStrategy):
                wrapped[kind] = recorded_hessian(recorder, user, kind)
        self.problem = replace(problem, **wrapped)

    def _go_on(self) -> None:
        """Take over what was before the last fresh start."""
        contents = self._recorder.contents
        if contents.start is not None:
            self._update_from_records(contents.records[: contents.begin])
            for name in _COUNTS:
                setattr(self, name, contents.start[name])
            start = self._recorder.start
            assert start is not None
            self._start_from(start, contents.start["fun"])
        contents.records = []  # what is still to be answered is kept by the recorder

    @override
    def _outcome(self, solve: Callable[[Run], Outcome]) -> OptimizerResult:
        try:
            try:
                return super()._outcome(solve)
            except Diverged as diverged:
                self._begin_anew(diverged)
            return super()._outcome(solve)  # nothing is left to be answered, nor to diverge from
        except JournalError:
            self._update_from_records(
                self._recorder.refused
            )  # they were evaluated: one may be the best
            raise

    def _begin_anew(self, diverged: Diverged) -> None:
        """Start from the best recorded point; all that is recorded counts."""
        recorder = self._recorder
        unused = recorder.unused()
        self._update_from_records(unused)
        self._count()
        for record in unused:
            self.nfev += record.kind in ("fun", "both")
            self.njev += record.kind in ("jac", "both")
            self.nhev += record.kind in ("hess", "hessp")
        best = self.best
        fun = None if best is None else best.fun
        self._start_from(self.problem.x0 if best is None else best.x, fun)
        self.last, self.last_good, self.iterate, self._orphan, self.stage = NOWHERE, *[None] * 4
        self.recent.clear()
        self.differences = self._first_differences
        # The random numbers of a start are the same when it is resumed.
        self._seed = recorder.seed
        vars(self).pop("rng", None)
        counts = {name: getattr(self, name) for name in _COUNTS}
        recorder.restart(self.problem.x0, fun, counts)
        found = "its start" if fun is None else f"f(x) = {fun!r}"
        warn_user(
            f"The journal {recorder.path} cannot be followed at evaluation {diverged.seq}: "
            f"{diverged}. The run goes on from the best recorded point, {found}; its "
            f"{self.nfev} recorded evaluations count."
        )

    def _start_from(self, x: Array, fun: float | None) -> None:
        """Make a point the start; nothing else of it is known, now or when this is resumed."""
        self.problem = replace(self.problem, x0=x.copy())
        if fun is not None:
            self.best = Evaluation(x, fun)

    def _update_from_records(self, records: list[Record]) -> None:
        """Let recorded points be candidates for the run's best, and show their precision."""
        coarsest = max((record.precision for record in records), default=0.0)
        self._evaluator.precision = max(self._evaluator.precision, coarsest)
        for record in records:
            # A value is a complex number off the real axis, and None for a gradient or a failure.
            if isinstance(record.fun, float) and np.isfinite(record.fun):
                self.update_incumbent(record.x, record.fun)
