"""What a stepper was made of and told: another one that is told the same is where it was."""

import copy
import pickle
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizers.asktell.messages import PendingAsk, Told
from optimizers.errors import StepperError
from optimizers.problem.problem import Problem
from optimizers.result import StopReason

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


def checksum(pending: PendingAsk) -> int:
    """Return what tells a question from another: taken before the caller has its arrays."""
    points = pending.ask.x_fun
    assert points is not None
    return zlib.crc32(np.ascontiguousarray(points).view(np.uint8).data, len(points))


@dataclass(frozen=True, eq=False)
class Origin:
    """What a stepper was made of; ``make(optimizer, **origin.given())`` makes another."""

    make: Callable[..., Any]
    #: The optimizer, as it was.
    optimizer: Any
    #: Has start and bounds, as arrays of its own.
    problem: Problem
    #: All other arguments, with a seed of its own.
    arguments: dict[str, Any]

    def given(self) -> dict[str, Any]:
        """Return the arguments that make such a stepper once more."""
        problem, bounds = self.problem, None
        if problem.lower is not None and problem.upper is not None:
            bounds = np.column_stack([problem.lower, problem.upper])
        again = {"x0": problem.x0, "bounds": bounds, "seed": copy.deepcopy(self.arguments["seed"])}
        return {**self.arguments, **again}

    def check(self) -> None:
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


@dataclass(eq=False)
class Log:
    """What a stepper was told, question by question, up to a limit of memory."""

    origin: Origin
    #: The checksum of each question, and its answers.
    entries: list[tuple[int, Told]]
    nbytes: int = 0

    def add(self, asked: int, told: Told) -> None:
        """Keep the answers to a question; beyond the limit, none."""
        self.nbytes += told.nbytes + _OVERHEAD
        if self.nbytes > _LIMIT:
            self.entries.clear()
        else:
            self.entries.append((asked, told))

    def check(self) -> None:
        """Raise an error if answers were not kept."""
        if self.nbytes > _LIMIT:
            raise StepperError(
                f"This stepper cannot be pickled nor copied: it was told {self.nbytes:.1e} bytes "
                f"of answers, and at most {_LIMIT:.1e} are kept. Give it a journal, from which "
                "the run can be resumed."
            )


@dataclass(eq=False)
class Progress:
    """How far a stepper is."""

    #: The checksums and answers of the questions that are answered wholly.
    entries: list[tuple[int, Told]]
    #: Those of the last one, if it is not.
    last: tuple[int, Told] | None
    #: The time that has passed.
    seconds: float
    #: How many iterations observers saw, and whether the last of them ended the run.
    nobserved: int
    is_halted: bool
    #: Whether the run is over, and why, if not by an error.
    is_over: bool
    stop: StopReason | None
