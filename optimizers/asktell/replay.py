"""What a stepper was made of and told: another one that is told the same is where it was."""

import copy
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from optimizers.asktell.messages import CheckedTell
from optimizers.errors import StepperError
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.observers import Observer, in_one

#: How many bytes of answers are kept.
_LIMIT = 2**30
#: What an answer takes besides its numbers, in bytes.
_OVERHEAD = 1000
#: Picklers of functions that pickle cannot take; whether one is at work cannot be known.
_OTHERS = ("cloudpickle", "dill")


def snapshot(optimizer: Any) -> Any:
    """Return an optimizer that options set later do not reach."""
    twin = copy.copy(optimizer)
    vars(twin).update({k: dict(v) for k, v in vars(twin).items() if isinstance(v, dict)})
    return twin


@dataclass(eq=False)
class Progress:
    """How far a stepper is."""

    #: What it was told, up to a limit of memory, each with the checksum of the question.
    entries: list[tuple[int, CheckedTell]] = field(default_factory=list)
    #: What the observers said at each iteration: whether it ended the run, or what they raised.
    halts: list[bool | BaseException] = field(default_factory=list)
    #: The time that has passed.
    seconds: float = 0.0
    #: Whether the run is over, and why, if not by an error.
    is_over: bool = False
    stop: StopReason | None = None


class Log:
    """What a stepper was made of, and how far it is.

    ``make(optimizer, **arguments)`` makes another: the optimizer is as it was, the seed its own.
    """

    def __init__(self, make: Callable[..., Any], optimizer: Any, arguments: dict[str, Any]) -> None:
        self.make, self.optimizer, self.arguments = make, optimizer, arguments
        self.progress = Progress()
        self._nbytes = 0

    def add(self, asked: int, tell: CheckedTell) -> None:
        """Keep what was told to a question; beyond the limit, nothing."""
        self._nbytes += tell.nbytes + _OVERHEAD
        if self._nbytes > _LIMIT:
            self.progress.entries.clear()
        else:
            self.progress.entries.append((asked, tell))

    def check(self) -> None:
        """Raise an error if answers were not kept."""
        if self._nbytes > _LIMIT:
            raise StepperError(
                f"This stepper cannot be pickled nor copied: it was told {self._nbytes:.1e} bytes "
                f"of answers, and at most {_LIMIT:.1e} are kept. Give it a journal, from which "
                "the run can be resumed."
            )

    def check_pickles(self) -> None:
        """Raise pickle's error, with a hint, if an argument cannot be pickled.

        It may be, if an other pickler is there: then the error, if there is one, is that one's.
        """
        if any(name in sys.modules for name in _OTHERS):
            return
        for name, value in {"optimizer": self.optimizer, **self.arguments}.items():
            try:
                pickle.dumps(value)
            except Exception as error:
                error.add_note(
                    f"A stepper is pickled as what it was made of, and its {name} cannot be: a "
                    "function can if it is defined at the top level of a module; cloudpickle "
                    "takes others too."
                )
                raise


class ReplayedObserver:
    """The observers of a run, which see no iteration twice if it is replayed."""

    def __init__(self, observers: tuple[Observer, ...], halts: list[bool | BaseException]) -> None:
        self._observers, self._halts = observers, halts
        self._count = 0
        whole: Any = in_one(observers)
        self.wants_value, self.on_run_end = whole.wants_value, whole.on_run_end
        self.on_evaluation = whole.on_evaluation

    def __call__(self, state: OptimizerResult) -> bool:
        """Return what the observers say, or said before, of an iteration."""
        if self._count == len(self._halts):
            try:
                self._halts.append(any([observe(state) for observe in self._observers]))
            except BaseException as error:
                self._halts.append(error)
        self._count += 1
        halt = self._halts[self._count - 1]
        if isinstance(halt, BaseException):
            raise halt
        return halt
