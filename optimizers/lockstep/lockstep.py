"""Lock-step: many runs advance together, and all their questions in a round are one wave."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from optimizers.asktell.drivers import driver_for
from optimizers.evaluation.evaluator import Evaluator
from optimizers.lockstep.member import MemberEvaluator, MemberRequest
from optimizers.lockstep.merge import Round
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.solve import Prepared


def interruption(error: BaseException) -> StopReason:
    """Return the stop reason of runs that are waiting while an exception is raised."""
    is_interrupt = isinstance(error, KeyboardInterrupt)
    return StopReason.INTERRUPTED if is_interrupt else StopReason.FAILED


class Member:
    """A run that takes part through the evaluator `share`; results and callbacks get its number."""

    def __init__(self, prepared: Prepared, share: MemberEvaluator, number: int) -> None:
        self.number = number
        self.run = prepared.run
        self.run.extra["run"] = number
        #: The name of what only one run at a time may use, or None.
        self.alone = prepared.exclusive
        #: The number of rounds in which it took part.
        self.rounds = 0
        self.request: MemberRequest | None = None
        self._result: OptimizerResult | None = None
        self.error: BaseException | None = None
        self._driver = driver_for(prepared, share)

    def advance(self) -> bool:
        """Advance to the next question; return whether there is one."""
        question = self._driver.advance()
        assert question is None or isinstance(question, MemberRequest)
        self.request = question
        if question is None:
            try:
                self._result = self._driver.result()
            except BaseException as error:
                self.error = error
            self._driver.close()
            del self._driver  # which also holds the error
        return question is not None

    def stop(self, reason: StopReason) -> None:
        """Let it end at the first unanswered point, when it advances."""
        self._driver.stop(reason)

    def finish(self, reason: StopReason) -> OptimizerResult:
        """Return its result, even if it never began, with the reason why the others ended."""
        if self._result is None and self.error is None:
            self.stop(reason)
            self.advance()
        return self.result

    @property
    def result(self) -> OptimizerResult:
        """Its result, with the attribute ``error`` if it failed."""
        if self._result is None:
            assert self.error is not None
            self._result = self.run.stopped(interruption(self.error), is_broken=True)
            self._result["error"], self.error = self.error, None
        self._result["rounds"] = self.rounds
        return self._result


def _size(member: Member) -> int:
    """Return how many points of a round a run's question takes; gradients alone count as one."""
    return max(1, member.request.cost) if member.request else 0


def promise(member: Member) -> tuple[float, float]:
    """Return how promising a run is, the smallest first: by its best point; unknown ones lead."""
    memory = member.run.memory
    return memory.best_violation, -math.inf if memory.best is None else memory.best.fun


class LockStep:
    """Runs that advance together, with a deadline, a budget of points and a number of slots.

    With an order, the first runs ask first, and others wait if their questions are beyond the
    width, the number of points of a round. Unless all begin at once, a run begins only if a round
    has room for it. The evaluator calls the objective for all runs, and is closed at the end.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        timeout: float | None = None,
        budget: float = math.inf,
        slots: float = math.inf,
        width: float = math.inf,
        order: Callable[[Member], Any] | None = None,
        begins_all: bool = False,
    ) -> None:
        self._evaluator, self._width = evaluator, width
        self._order, self._begins_all = order, begins_all
        self._left = budget
        self._slots = slots
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout
        self._live: list[Member] = []
        # Those of them whose questions are beyond the width of the round.
        self._behind: list[Member] = []
        # Members with a slot that wait for what only one run at a time may use.
        self._waiting: list[Member] = []
        #: Whether the budget was too small for a run's question.
        self.is_spent = False
        #: The exception that ended all runs, such as Ctrl-C; not a failure at a point.
        self.error: BaseException | None = None
        #: The reason why all runs were stopped, if they were.
        self.stopped: StopReason | None = None
        #: The number of rounds.
        self.rounds = 0

    def ended(self, members: Iterable[Member]) -> Iterator[Member]:
        """Run members, each when there is a slot for it, and yield each when it has ended.

        See :attr:`error` after the last.
        """
        source = iter(members)
        try:
            while True:
                yield from self._fill(source)
                if not self._live:
                    return
                try:
                    if self.stopped is None:
                        self._round()
                except BaseException as error:
                    self._end_all(error)
                behind = self._behind if self.stopped is None else ()
                for member in list(self._live):
                    if member not in behind:
                        yield from self._advanced(member)
        finally:
            for member in self._live:  # the caller stopped early
                member.stop(StopReason.CLOSED)
                member.advance()
            self._live.clear()
            self._evaluator.close()

    @property
    def left(self) -> float:
        """How many evaluations may still be started."""
        return self._left

    def stop(self, reason: StopReason) -> None:
        """Let all runs end, and start no other."""
        self.stopped = self.stopped or reason
        for member in self._live:
            member.stop(reason)

    def _fill(self, source: Iterator[Member]) -> Iterator[Member]:
        """Give free slots to the next runs; yield those that end at once."""
        while True:
            member = next(filter(self._may_begin, self._waiting), None)
            if member is not None:
                self._waiting.remove(member)
            elif len(self._live) + len(self._waiting) >= self._slots or not (
                self._begins_all or self.has_room()
            ):
                return
            else:
                member = self._next(source)
                if member is None:
                    return
                if not self._may_begin(member):
                    self._waiting.append(member)
                    continue
            self._live.append(member)
            if self.stopped is not None:
                member.stop(self.stopped)
            yield from self._advanced(member)

    def has_room(self) -> bool:
        """Return whether a round has room for one more question like the largest of them."""
        sizes = [_size(member) for member in self._live]
        return sum(sizes) + max(sizes, default=0) <= self._width

    def _may_begin(self, member: Member) -> bool:
        return member.alone is None or all(other.alone != member.alone for other in self._live)

    def _next(self, source: Iterator[Member]) -> Member | None:
        if time.monotonic() > self._deadline:
            self.stop(StopReason.TIMEOUT)
        is_over = self.stopped is not None or self.is_spent
        member = None if is_over else next(source, None)
        if member is not None:
            member.run.budget.end_by(self._deadline)
        return member

    def _advanced(self, member: Member) -> Iterator[Member]:
        try:
            goes_on = member.advance()
        except BaseException as interrupt:  # Ctrl-C while waiting for its thread
            self._end_all(interrupt)
            goes_on = member.advance()
        if goes_on:
            return
        self._live.remove(member)
        error = member.error
        if error is not None and not isinstance(error, Exception):
            self._end_all(error)
        elif member.result.stop is StopReason.INTERRUPTED and self.stopped is None:
            self._end_all(KeyboardInterrupt())
        yield member

    def _end_all(self, error: BaseException) -> None:
        self.error = self.error or error
        self.stop(interruption(error))

    def _round(self) -> None:
        """Evaluate the runs' questions, as far as the width and the budget allow."""
        left, asking, requests = self._left, list[Member](), list[MemberRequest]()
        points, self._behind = 0, []
        for member in sorted(self._live, key=self._order) if self._order else self._live:
            request = member.request
            assert request is not None
            if points and points + _size(member) > self._width:
                self._behind.append(member)
                continue
            if request.cost > left:
                member.stop(StopReason.MAXFUN)
                self.is_spent = True
                continue
            left -= request.cost
            points += _size(member)
            member.rounds += 1
            asking.append(member)
            requests.append(request)
        if not asking:
            return
        self.rounds += 1
        evaluated = Round(self._evaluator, requests, left, self._deadline)
        try:
            evaluated.evaluate()
        finally:
            self._left -= evaluated.started
        for member, request in zip(asking, requests, strict=True):
            if not request.is_answered:
                member.stop(StopReason.TIMEOUT)
        if time.monotonic() > self._deadline:
            self.stop(StopReason.TIMEOUT)
