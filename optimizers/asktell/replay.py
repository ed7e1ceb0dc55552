"""What a stepper was made of and told, so that another one can be brought to the same state."""

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

#: The maximum number of bytes of answers that are kept.
_LIMIT = 2**30
#: The overhead of an answer in bytes.
_OVERHEAD = 1000
#: Picklers of functions that pickle does not support; whether one is in use cannot be known.
_OTHERS = ("cloudpickle", "dill")


def snapshot(optimizer: Any) -> Any:
    """Return a copy of an optimizer that options set later do not affect."""
    twin = copy.copy(optimizer)
    vars(twin).update({k: dict(v) for k, v in vars(twin).items() if isinstance(v, dict)})
    return twin


@dataclass(eq=False)
class Progress:
    """The progress of a stepper."""

    #: What it was told, up to a memory limit, with the checksums of the questions.
    entries: list[tuple[int, CheckedTell]] = field(default_factory=list)
    #: The observers' answers at each iteration: whether to end the run, or what they raised.
    halts: list[bool | BaseException] = field(default_factory=list)
    #: The elapsed time.
    seconds: float = 0.0
    #: Whether the run has ended, and why, if not by an error.
    is_over: bool = False
    stop: StopReason | None = None


class Log:
    """What a stepper was made of, and its progress.

    ``make(optimizer, **arguments)`` makes another one, with copies of the optimizer and the seed.
    """

    def __init__(self, make: Callable[..., Any], optimizer: Any, arguments: dict[str, Any]) -> None:
        self.make, self.optimizer, self.arguments = make, optimizer, arguments
        self.progress = Progress()
        self._nbytes = 0

    def add(self, asked: int, tell: CheckedTell) -> None:
        """Store what was told to a question, up to the limit."""
        self._nbytes += tell.nbytes + _OVERHEAD
        if self._nbytes > _LIMIT:
            self.progress.entries.clear()
        else:
            self.progress.entries.append((asked, tell))

    def check(self) -> None:
        """Raise an error if answers were not stored."""
        if self._nbytes > _LIMIT:
            raise StepperError(
                f"This stepper cannot be pickled or copied: it was told {self._nbytes:.1e} bytes "
                f"of answers, and at most {_LIMIT:.1e} are stored. Use a journal, from which the "
                "run can be resumed."
            )

    def check_pickles(self) -> None:
        """Raise pickle's error, with a hint, if an argument cannot be pickled.

        Another pickler, if imported, may succeed, or raises its own error.
        """
        if any(name in sys.modules for name in _OTHERS):
            return
        for name, value in {"optimizer": self.optimizer, **self.arguments}.items():
            try:
                pickle.dumps(value)
            except Exception as error:
                error.add_note(
                    f"A stepper is pickled with its arguments, and {name} cannot be pickled: "
                    "define functions at the top level of a module, or use cloudpickle."
                )
                raise


class ReplayedObserver:
    """The observers of a run, which see no iteration twice when it is replayed."""

    def __init__(self, observers: tuple[Observer, ...], halts: list[bool | BaseException]) -> None:
        self._observers, self._halts = observers, halts
        self._count = 0
        whole: Any = in_one(observers)
        self.wants_value, self.on_run_end = whole.wants_value, whole.on_run_end
        self.on_evaluation = whole.on_evaluation

    def __call__(self, state: OptimizerResult) -> bool:
        """Return the observers' answer to an iteration, or their earlier answer."""
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
