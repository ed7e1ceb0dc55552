"""The members of a portfolio: whose turn it is, by what each has spent and found."""

import math
from collections.abc import Callable, Iterator, Mapping

from typing_extensions import override

from optimizers._types import Array
from optimizers.lockstep.lockstep import Member

# Both are measured on the 24 functions of BBOB with 5 variables, 500 and 2000 points.
#: For how many gradients the leader goes on alone without a better point.
_PATIENCE = 20
#: How many times the points of a member count for each run that ended in vain, up to so many.
_FALL, _MOST = 4.0, 50


class Arm:
    """One member: its runs, and what they spent."""

    def __init__(self, name: str, runs_once: bool) -> None:
        self.name = name
        # Whether a further run would repeat the first one.
        self._runs_once = runs_once
        self.live: dict[int, Member] = {}
        self.has_begun = False
        self._ended = 0
        #: How many of its runs ended since it last found the best point.
        self.vain = 0

    @property
    def spent(self) -> int:
        """The points that its runs evaluated."""
        return self._ended + sum(member.run.nfev for member in self.live.values())

    def may_begin(self, has_room: bool) -> bool:
        """Return whether it may begin a run, where a round may have room for more than one."""
        return not self.has_begun or (not self._runs_once and (has_room or not self.live))

    def end(self, member: Member) -> None:
        """Note the end of a run."""
        del self.live[member.number]
        self._ended += member.run.nfev
        self.vain += 1


class Arms(Iterator[Member]):
    """The runs of all members, each at its turn.

    The member that found the best point goes on alone, perhaps with a further run, while it finds
    better ones. Otherwise, it is the turn of the one that spent the least, where points count more
    with each run in vain.

    Iteration can continue when there is no run to begin now. ``members`` says by name which of them
    run once. ``begin`` makes a run of a member with a number; from the best point if it is the
    member's first one.
    """

    def __init__(
        self,
        members: Mapping[str, bool],
        probes: int,
        has_room: Callable[[], bool],
        begin: Callable[[str, int, Array | None], Member],
    ) -> None:
        self._arms = [Arm(name, once) for name, once in members.items()]
        self._patience, self._has_room, self._begin = _PATIENCE * probes, has_room, begin
        # By the number of the run.
        self._owners: dict[int, Arm] = {}
        self._best = math.inf, math.inf
        self._x: Array | None = None
        self._leader: Arm | None = None
        # What the leader had spent when it found the best point.
        self._led = 0

    @override
    def __next__(self) -> Member:
        self._note()
        has_room, live = self._has_room(), [arm for arm in self._arms if arm.live]
        free = [arm for arm in self._arms if arm.may_begin(has_room)]
        if not free:
            raise StopIteration
        arm = min(free, key=self._turn)
        if live and not has_room and self._turn(arm) >= min(map(self._turn, live)):
            raise StopIteration
        number = len(self._owners)
        member = self._begin(arm.name, number, None if arm.has_begun else self._x)
        arm.has_begun, arm.live[number], self._owners[number] = True, member, arm
        return member

    def order(self, member: Member) -> tuple[bool, float]:
        """Return when it is the turn of a run, the smallest first."""
        self._note()
        return self._turn(self._owners[member.number])

    def end(self, member: Member) -> None:
        """Note the end of a run."""
        self._note()
        self._owners[member.number].end(member)

    @property
    def names(self) -> list[str]:
        """The names of the members of all runs that began."""
        return [arm.name for arm in self._owners.values()]

    def _turn(self, arm: Arm) -> tuple[bool, float]:
        leads = arm is self._leader and arm.spent - self._led <= self._patience
        return not leads, arm.spent * _FALL ** min(arm.vain, _MOST)

    def _note(self) -> None:
        """Note who found the best point."""
        for arm in self._arms:
            for member in arm.live.values():
                memory = member.run.memory
                if memory.best is None:
                    continue
                found = memory.best_violation, memory.best.fun
                if found < self._best:
                    self._best, self._x = found, memory.best.x
                    self._leader, self._led, arm.vain = arm, arm.spent, 0
