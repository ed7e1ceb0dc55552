"""The contents of a journal as arrays and as a result."""

import functools
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers._shown import Tabled, shown
from optimizers._types import Array
from optimizers.errors import JournalError
from optimizers.journal.contents import JournalContents, read
from optimizers.journal.header import heading_of, sign_of, start_of
from optimizers.journal.iterations import Iteration
from optimizers.journal.journal import as_path
from optimizers.journal.records import Record, counts_of
from optimizers.journal.study import study_of
from optimizers.result import Best, OptimizerResult, StopReason


@dataclass(frozen=True, repr=False)
class Recording(Tabled):
    """The contents of a journal, as :func:`load` returns them.

    The arrays have a row for each evaluation of the objective, in order of arrival. Probes of the
    complex step and calls of ``hess`` are only in ``records``.

    Parameters
    ----------
    header : dict
        What identifies the run: ``optimizer``, ``settings``, ``problem``, ``seed``, ``versions``,
        ``created``.
    records : list of Record
        All evaluations in order of arrival, including failed first attempts.
    result : OptimizerResult
        The result if the run ended; otherwise the best point so far, with the counts, and
        ``StopReason.INTERRUPTED``.
    is_finished : bool
        Whether the run ended without an error.
    error : str, optional
        The error that ended it.
    iterations : list of Iteration
        The ends of its iterations, each with ``number``, ``nfev``, ``fun``, ``best`` and
        ``is_estimate``; empty for many runs, and for journals of earlier versions.
    """

    header: dict[str, Any]
    records: list[Record]
    result: OptimizerResult
    is_finished: bool
    error: str | None = None
    iterations: list[Iteration] = field(default_factory=list)

    @override
    def _table(self) -> tuple[str, Sequence[str], list[Sequence[str]]]:
        words = f"not ended; {len(self.records)} records"
        if self.error is not None:
            words = f"ended by an error: {self.error}"
        elif self.is_finished:
            words = f"ended: {self.result.stop.sentence}"
        best = self.result.best
        facts = {
            "begun": self.header["created"],
            "variables": self.header["problem"]["n"],
            "points": len(self.values),
            "failed": sum(failure is not None for failure in self.failures),
            "best f(x)": None if best is None else best.fun,
            "best x": None if best is None else self._named(best.x),
        }
        rows: list[Sequence[str]] = [(key, shown(value)) for key, value in facts.items()]
        return f"Recording of {heading_of(self.header)}, {words}", ("journal", "value"), rows

    def _named(self, x: NDArray[Any]) -> Any:
        """Return a point with its names, if the variables have any."""
        names = self.header["problem"].get("names")
        return x if names is None else dict(zip(names, x.tolist(), strict=True))

    @functools.cached_property
    def _real_values(self) -> list[Record]:
        return [r for r in self.records if r.kind in ("fun", "both") and r.x.dtype == np.float64]

    def _column(self, name: str) -> Array:
        found = [getattr(record, name) for record in self._real_values]
        return np.array(found, dtype=np.float64)  # None becomes NaN

    @property
    def names(self) -> list[str]:
        """The names of the columns of ``points``, including a scale or a transform."""
        known: list[str] | None = self.header["problem"].get("names")
        return known or [f"x[{i}]" for i in range(self.header["problem"]["n"])]

    @property
    def points(self) -> Array:
        """The points, shape (k, n), in the terms of ``names``."""
        n = self.header["problem"]["n"]
        return np.array([r.x for r in self._real_values], dtype=np.float64).reshape(-1, n)

    @property
    def values(self) -> Array:
        """The values, shape (k,); NaN where an evaluation failed."""
        return sign_of(self.header) * self._column("fun")

    @property
    def errors(self) -> Array:
        """The values' standard errors, shape (k,); NaN where the objective did not return them."""
        return self._column("error")

    @property
    def shots(self) -> Array:
        """The shots of each evaluation, shape (k,); NaN where their number is not known."""
        return np.array([self._shots_of(record) for record in self._real_values], dtype=np.float64)

    def _shots_of(self, record: Record) -> int | None:
        """Return the shots of a record: its own, or those that the run declares for each."""
        if "shots" in self.header["problem"]:
            return record.shots
        declared: int | None = self.header["settings"].get("shots")
        return declared

    @property
    def gradients(self) -> Array:
        """The gradients that the user's ``jac`` returned, shape (k, n); NaN elsewhere.

        The Jacobians of residuals are in ``records``.
        """
        known = {r.x.tobytes(): r.jac for r in self.records if r.kind == "jac"}
        absent = np.full(self.header["problem"]["n"], math.nan)
        if "residuals" in self.header["problem"]:
            return np.array([absent for _ in self._real_values]).reshape(-1, absent.size)
        rows = [r.jac if r.kind == "both" else known.get(r.x.tobytes()) for r in self._real_values]
        found = np.array([absent if row is None else row for row in rows]).reshape(-1, absent.size)
        return sign_of(self.header) * found

    @property
    def residuals(self) -> Array | None:
        """The residuals, shape (k, m), NaN where an evaluation failed; None if there are none."""
        found = [r.residuals for r in self._real_values if r.residuals is not None]
        if not found:
            return None
        absent = np.full(found[0].size, math.nan)
        rows = [absent if r.residuals is None else r.residuals for r in self._real_values]
        return np.array(rows, dtype=np.float64)

    @property
    def seconds(self) -> Array:
        """The duration of each evaluation, shape (k,); NaN where it is not known."""
        return self._column("seconds")

    @property
    def waves(self) -> NDArray[np.int64]:
        """The wave of each evaluation, shape (k,), numbered from 1; many runs may share waves.

        Journals of earlier versions have no waves for runs that evaluate one point at a time: each
        point is counted as one.
        """
        return ranks([record.ask for record in self._real_values])

    @property
    def workers(self) -> list[str]:
        """The process or thread of each evaluation; empty for the run's own."""
        return [r.worker for r in self._real_values]

    @property
    def failures(self) -> list[str | None]:
        """The failure of each evaluation, or None."""
        return [r.failure for r in self._real_values]

    def to_optuna(self, storage: Any, name: str | None = None) -> Any:
        """Write a study for optuna-dashboard; needs optuna.

        Parameters
        ----------
        storage : str or optuna storage
            Where to write it, such as ``"sqlite:///runs.db"``.
        name : str, optional
            The study's name; by default the optimizer's name and the start time of the run.

        Returns
        -------
        optuna.Study
            The study: a trial for each evaluation of the objective. The interval of a variable
            without bounds is the one that was visited.

        Raises
        ------
        MissingExtraError
            If optuna is not installed.
        """
        return study_of(self, storage, name)


def ranks(waves: Iterable[int]) -> NDArray[np.int64]:
    """Return the numbers of waves, from 1 in the order of appearance, given any mark of each."""
    waves = list(waves)
    numbers = {wave: number for number, wave in enumerate(dict.fromkeys(waves), 1)}
    return np.array([numbers[wave] for wave in waves], dtype=np.int64)


def load(path: str | os.PathLike[str]) -> Recording:
    """Return the contents of a journal, also while a run writes it (``.jsonl``) or after a crash.

    Parameters
    ----------
    path : str or PathLike
        The journal; it is not changed.

    Returns
    -------
    Recording
        The history as arrays, and a result.

    Raises
    ------
    JournalError
        If there is no such file, or it is not a journal, or it is damaged.
    JournalLockedError
        If it is an SQLite database that a run has open.

    Examples
    --------
    >>> import tempfile, optimizers
    >>> path = tempfile.mkdtemp() + "/run.jsonl"
    >>> result = optimizers.BFGS().minimize(lambda x: x @ x, [1.0, 2.0], journal=path)
    >>> recording = optimizers.load(path)
    >>> recording.points.shape == (result.nfev, 2), recording.values[0].item()
    (True, 5.0)
    >>> recording.result.x == result.x
    array([ True,  True])
    """
    name = as_path("path", path)
    contents = read(name)
    if contents is None:
        raise JournalError(f"The journal {name} is empty: no run has begun to write it.")
    end = contents.end
    known = None if end is None else end["end"]
    # Results written by earlier versions do not say that nothing was replayed.
    known = None if known is None else {"nreplayed": 0, **known}
    result = _so_far(contents) if known is None else OptimizerResult.from_dict(known)
    error = None if end is None else end.get("error")
    is_finished = end is not None and error is None
    sign = sign_of(contents.header)
    iterations = [iteration.times(sign) for iteration in contents.iterations]
    return Recording(contents.header, contents.records, result, is_finished, error, iterations)


def _counted(header: dict[str, Any], asked: Iterable[Record]) -> dict[str, int]:
    """Return the counts of records, with shots and jobs where the result has these."""
    counts, each = counts_of(asked), header["settings"].get("shots")
    if "shots" in header["problem"]:
        return counts
    del counts["nshots"], counts["njobs"]
    return counts if each is None else {**counts, "nshots": each * counts["nfev"]}


def _so_far(contents: JournalContents) -> OptimizerResult:
    """Return a result for a run that has not ended, from its records, each question once."""
    asked = {(r.seq, r.is_late, r.x.tobytes()): r for r in contents.records}.values()
    # A value is complex at a complex point, and None for a gradient or a failure.
    finite = [(r.fun, r) for r in asked if isinstance(r.fun, float) and math.isfinite(r.fun)]
    fun, at = min(finite, key=lambda pair: pair[0], default=(None, None))
    x: NDArray[Any] = start_of(contents.header) if at is None else at.x
    sign = sign_of(contents.header)
    fun = None if fun is None else sign * fun
    jac = None if at is None or at.residuals is not None else at.jac
    return OptimizerResult(
        x=x,
        fun=fun,
        jac=None if jac is None else sign * jac,
        **({} if at is None or at.residuals is None else {"residuals": at.residuals}),
        **_counted(contents.header, asked),
        nit=0,
        nrejected=0,
        nreplayed=0,
        success=False,
        status=-1,
        message="The run has not ended, or was killed: this is the best point recorded.",
        stop=StopReason.INTERRUPTED,
        best=None if fun is None else Best(x, fun),
        elapsed=float(sum(r.seconds or 0.0 for r in asked)),
    )
