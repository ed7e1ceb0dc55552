"""An evaluator around another one that notifies listeners of each evaluation as it arrives."""

import math
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from typing_extensions import override

from optimizers._shown import short
from optimizers._types import Array
from optimizers.evaluation.answers import values_of
from optimizers.evaluation.evaluator import Evaluator, Part
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.task import Failure
from optimizers.evaluation.wave import Answer, Block, Wave


class Evaluated(NamedTuple):
    """An evaluation of the objective, as passed to a callback's method ``on_evaluation``.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The point; a copy.
    fun : float
        The value; NaN where the evaluation failed.
    failure : BaseException or None
        Why it failed.
    run : int
        Which of many runs asked for it, from 0.
    nfev : int
        The number of evaluations so far, including this one.
    wave : int
        The number of its wave, from 1.
    best : float or None
        The lowest value so far, or with ``maximize`` the highest; None if there is none, or if
        there are constraints.
    began, ended : float
        Start and end in seconds since the run began: as its worker measured them, or as seen by the
        run.
    worker : str
        The process or thread that did it; empty for the run's own.
    maximize : bool
        Whether higher values are better.
    shots : int or None
        How many shots it took, if that is known.
    """

    x: Array
    fun: float
    failure: BaseException | None
    run: int
    nfev: int
    wave: int
    best: float | None
    began: float
    ended: float
    worker: str
    maximize: bool = False
    shots: int | None = None

    def __repr__(self) -> str:
        return short(self)


#: Called with each evaluation.
Listener: TypeAlias = Callable[[Evaluated], Any]


class ListenedEvaluator(Evaluator):
    """Passes waves on to another evaluator, and notifies listeners of each value that returns.

    ``nfev`` returns the number of evaluations, and ``best`` the incumbent's value, where that need
    not be the lowest; ``each`` is the number of shots of evaluations that do not choose it.
    """

    is_listened = True

    def __init__(
        self,
        inner: Evaluator,
        listeners: Sequence[Listener],
        nfev: Callable[[], int],
        loss: Loss | None = None,
        best: Callable[[], float | None] | None = None,
        sign: float = 1.0,
        each: int | None = None,
    ) -> None:
        # Not the base's: its checks have been made, and its state is that of the inner evaluator.
        self._inner, self._listeners, self._loss = inner, tuple(listeners), loss
        self.facts = inner.facts
        self._nfev, self._best_of, self._sign, self._each = nfev, best, sign, each
        self._waves, self._lowest, self._began = 0, math.inf, time.monotonic()
        self._is_in_wave = False

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        # Gradients alone are not a wave of their own: solvers may call them directly.
        self._waves += any(block.is_real for block in wave.blocks)
        count, since = self._nfev(), time.monotonic()
        parts = self._inner.answers(wave)
        # Once: a wave may be answered in as many parts as it has points.
        runs = {id(block): [*block.runs] for block in wave.blocks if block.is_real}
        self._is_in_wave = True
        try:
            for block, part, answer in parts:
                if block.is_real:
                    told = runs[id(block)][part]
                    self._tell_part(block, part, answer, told, count, since)
                    count += part.stop - part.start
                    since = time.monotonic()
                yield block, part, answer
        finally:
            self._is_in_wave = False
            parts.close()

    def heard(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """Return an objective that solvers call directly: each call is a separate wave."""

        def hearing(x: Array) -> Any:
            if self._is_in_wave:
                return fun(x)
            self._waves += 1
            since, point = time.monotonic(), x.copy()
            try:
                raw = fun(x)
            except Exception as error:
                when = since, time.monotonic(), self._each
                self._tell(point, math.nan, error, 0, self._nfev(), *when)
                raise
            when = since, time.monotonic(), self._each
            self._tell(point, _value(raw), None, 0, self._nfev(), *when)
            return raw

        return hearing

    def _tell_part(
        self,
        block: Block,
        part: slice,
        answer: Answer,
        runs: Sequence[int],
        count: int,
        since: float,
    ) -> None:
        """Report the rows of a part; those of one call are reported one after another."""
        rows, facts = part.stop - part.start, self.facts
        now = time.monotonic()
        seconds = (now - since) / rows if facts.seconds is None else facts.seconds
        for i in range(rows):
            value, failure = self._row(block, answer, i)
            row, ended = part.start + i, now - seconds * (rows - i - 1)
            point = block.points[row].copy()
            shots = self._each if block.shots is None else int(block.shots[row])
            self._tell(point, value, failure, runs[i], count + i + 1, ended - seconds, ended, shots)

    def _tell(
        self,
        x: Array,
        value: float,
        failure: Failure | None,
        run: int,
        nfev: int,
        began: float,
        ended: float,
        shots: int | None,
    ) -> None:
        if value < self._lowest and value > -math.inf:
            self._lowest = value
        best = self._lowest if self._lowest < math.inf else None
        if self._best_of is not None:
            best = self._best_of()
        # In the user's sign, who may maximize.
        best = None if best is None else self._sign * best
        times = began - self._began, ended - self._began
        who = run, nfev, self._waves, best, *times, self.facts.worker, self._sign < 0, shots
        for listen in self._listeners:
            listen(Evaluated(x, self._sign * value, failure, *who))

    def _row(self, block: Block, answer: Answer, i: int) -> tuple[float, Failure | None]:
        """Return a row's value, or NaN and the failure."""
        if isinstance(answer, BaseException):
            return math.nan, answer
        if block.kind == "fun":
            return float(values_of(answer[i : i + 1])[0]), None
        try:
            if self._loss is not None:
                return self._loss.answer(answer[i][0], 1, np.float64).item(0), None
        except Exception:  # a wrong shape or type: the caller of the wave raises the error
            return math.nan, None
        return _value(answer[i]), None


def _value(raw: Any) -> float:
    """Return the value that an objective returned, alone or with something else."""
    try:
        return float(raw[0] if isinstance(raw, tuple | list) else raw)
    except Exception:  # a wrong shape or type: the caller raises the error
        return math.nan
