"""Progress: a bar of the points evaluated by one run or by many."""

import contextlib
import math
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, TextIO

import numpy as np

from optimizers.errors import InvalidInputError, MissingExtraError
from optimizers.evaluation.listened import Evaluated
from optimizers.result import OptimizerResult


class Progress:
    """Shows a progress bar of the points evaluated, and of shots if known; needs tqdm.

    The setting ``progress=True`` makes one for a run, or one for many runs together, and ends it
    with the stop reason. An object made here is passed as that setting, or as a callback. In a
    notebook it is a widget, if ipywidgets is installed.

    Parameters
    ----------
    total : int, optional
        The budget, by default ``maxfun`` of the run; without a budget the bar only counts.
    file : file, optional
        Where to print; standard error by default.

    Raises
    ------
    MissingExtraError
        If tqdm is not installed.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> fun, x0 = lambda x: x @ x, [3.0, 4.0]
    >>> result = LBFGSB().minimize(fun, x0, maxfun=20, progress=True)  # doctest: +SKIP
     45%|████▌     | 9/20 [00:00<00:00, 9000pt/s, stop: gradient, best: 4.2e-17, waves: 3]
    """

    def __init__(self, total: int | None = None, file: TextIO | None = None) -> None:
        is_count = isinstance(total, int | float | np.number) and 0 <= total < 2**63
        if total is not None and not is_count:
            raise InvalidInputError(f"total is {total!r}, expected a whole number of points.")
        try:
            from tqdm import auto
        except ImportError as error:
            raise _missing() from error
        self._has_total = total is not None
        self._bar = auto.tqdm(total=total, unit="pt", file=file)
        self._counts: dict[int, int] = {}
        self._waves, self._shots, self._best = 0, 0, math.inf

    def __call__(self, intermediate_result: OptimizerResult) -> None:
        """Move the bar to the count of an iteration."""
        self.on_run_end(intermediate_result)

    def on_evaluation(self, evaluated: Evaluated) -> None:
        """Move the bar by an evaluation."""
        self._waves = evaluated.wave
        self._shots += evaluated.shots or 0
        if evaluated.best is not None:
            self._best = evaluated.best
        self._bar.set_postfix_str(self._words(), refresh=False)
        self._move(evaluated.nfev)

    def on_run_end(self, result: OptimizerResult) -> None:
        """Move the bar to the final count of a run, which may include points without an answer."""
        self._counts[result.get("run", 0)] = result.nfev
        best = result.get("best")
        if best is not None and not result.get("maxcv"):
            self._best = best.fun if math.isinf(self._best) else self._best
        self._move(sum(self._counts.values()))

    def expect(self, limit: float) -> None:
        """Use a budget as the total, if none was given."""
        if not self._has_total and math.isfinite(limit):
            self._bar.reset(total=int(limit))

    def end(self, reason: str) -> None:
        """Say why the runs stopped."""
        self._bar.set_postfix_str(f"stop: {reason}, {self._words()}")

    def close(self) -> None:
        """Leave the bar as it is and end its line."""
        self._bar.close()

    def _move(self, count: int) -> None:
        if count > self._bar.n:
            self._bar.update(count - self._bar.n)

    def _words(self) -> str:
        best = f"best: {self._best:.6g}, " if math.isfinite(self._best) else ""
        shots = f", shots: {self._shots}" if self._shots else ""
        return f"{best}waves: {self._waves}{shots}"


def _missing() -> MissingExtraError:
    return MissingExtraError("A progress bar needs tqdm: pip install tqdm.")


def check_progress(name: str, value: Any) -> None:
    """Raise an error if a setting is invalid, or tqdm is not installed."""
    if value is True and find_spec("tqdm") is None:
        raise _missing()
    if not (value is None or isinstance(value, bool | Progress)):
        raise InvalidInputError(f"{name} is {value!r}, expected True, False or a Progress.")


class Bar:
    """The bar of a run or of many, as the setting says; without one nothing is shown."""

    def __init__(self, setting: bool | Progress | None, limit: float = math.inf) -> None:
        self._is_own = setting is True
        total = int(limit) if math.isfinite(limit) else None
        self._progress = Progress(total) if setting is True else setting or None
        self.expect(limit)
        #: The listeners of evaluations.
        self.listeners = () if self._progress is None else (self._progress.on_evaluation,)

    @contextlib.contextmanager
    def around(self) -> Iterator[list[OptimizerResult]]:
        """Yield a list for a run's result; show the end in any case."""
        results = list[OptimizerResult]()
        try:
            yield results
        except BaseException as error:
            self.end(type(error).__name__, getattr(error, "optimizer_result", None))
            raise
        self.end(results[0].stop.value, *results)

    def expect(self, limit: float) -> None:
        """Show the budget."""
        if self._progress is not None:
            self._progress.expect(limit)

    def end(self, reason: str, *results: OptimizerResult | None) -> None:
        """Show the last counts and the reason for stopping, and close a bar that was made here."""
        if self._progress is None:
            return
        for result in results:
            if result is not None:
                self._progress.on_run_end(result)
        self._progress.end(reason)
        if self._is_own:
            self._progress.close()
