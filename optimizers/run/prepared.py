"""A run that is ready: what executes it, and what holding it from outside takes."""

from collections.abc import Callable
from dataclasses import dataclass

from optimizers.result import OptimizerResult
from optimizers.run.run import Run


@dataclass(frozen=True)
class Prepared:
    """A run and how it is executed; what minimising, stepping and lock-step start from.

    Parameters
    ----------
    run : Run
        The run.
    execute : callable
        ``execute() -> OptimizerResult``.
    exclusive : str or None
        What only one run at a time may use, such as a library.
    needs_thread : bool
        Whether it must not be put aside in a greenlet.
    """

    run: Run
    execute: Callable[[], OptimizerResult]
    exclusive: str | None
    needs_thread: bool
