"""The record of a run, from any source, as arrays to draw."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.evaluation.listened import Evaluated
from optimizers.journal import Record, Recording, load
from optimizers.journal.header import sign_of, title_of
from optimizers.journal.history import ranks
from optimizers.problem.parameters import parameters_of, start_of
from optimizers.result import OptimizerResult
from optimizers.run.observers import History
from optimizers.several.minima import MultistartResult

_EXPECTED = (
    "a History that was the callback of a run, the path of a journal, what load returns, or the "
    "result of a run with callback=History() or a journal"
)


@dataclass(frozen=True, eq=False)
class Trace:
    """One run: a row for each evaluation of the objective as it arrived, and its iterations."""

    name: str
    #: Shape (k,); NaN where an evaluation failed.
    values: Array
    #: Shape (k, n); NaN where they were not kept.
    points: Array
    #: The wave of each, as it is numbered in the record, where runs may share waves; its start and
    #: end in seconds.
    waves: NDArray[np.int64]
    began: Array
    ended: Array
    workers: list[str]
    failures: list[str | None]
    #: The shots of each; NaN where their number is not known.
    shots: Array
    #: The count of evaluations at the end of each iteration, the iterates, their values, and which
    #: of these are estimates; empty if iterations were not kept.
    counts: NDArray[np.int64]
    iterates: Array
    iterate_values: Array
    estimates: NDArray[np.bool_]
    result: OptimizerResult | None = None
    header: dict[str, Any] | None = None
    residuals: Array | None = None
    #: -1 where higher values are better.
    sign: float = 1.0
    #: The iterates as callbacks saw them, in the user's structure.
    seen: list[Any] = field(default_factory=list)
    #: The entry of a dict in which it was given, which others may be in as well.
    family: str | None = None
    #: A state as callbacks saw it, if the record is a History.
    state: OptimizerResult | None = None

    @property
    def costs(self) -> Array:
        """The values, of which the lowest are the best, shape (k,)."""
        return self.sign * self.values

    @property
    def best(self) -> Array:
        """The best value so far, shape (k,); NaN before the first."""
        return self.best_of(self.values)

    def best_of(self, values: Array) -> Array:
        """Return the best of some values up to each of them."""
        return self.sign * np.fmin.accumulate(self.sign * values) if len(values) else values

    @property
    def own_waves(self) -> NDArray[np.int64]:
        """The number of the wave of each among those of this run, from 1."""
        return ranks(self.waves.tolist())

    @property
    def names(self) -> list[str]:
        """The names of the variables."""
        problem = (self.header or {}).get("problem", {})
        n = self.points.shape[1] or self.iterates.shape[1]
        # A History has the variables as callbacks saw them, a journal as they were searched.
        given = (self.state and self.state.get("names")) or problem.get("names")
        return list(given) if given else [f"x[{i}]" for i in range(n)]

    @property
    def point(self) -> Callable[[Array], Any]:
        """The function that returns the user's point, which an objective takes, for a vector."""
        known = self.state or self.result
        free = None if known is None else known.get("names")
        parameters = None if free is None else parameters_of(start_of(known, bounds=()))
        if parameters is None:
            return np.array
        if self.names != list(free or ()):
            raise InvalidInputError(
                f"The record of {self.name} has scaled or transformed variables: run it with "
                "callback=History()."
            )
        return parameters.point


def traces_of(*sources: Any, names: Iterable[str] | None = None) -> list[Trace]:
    """Return the runs in some records; raise an InvalidInputError if there are none."""
    found = [trace for source in sources for trace in _traces(source)]
    if not found:
        raise InvalidInputError(f"There is nothing to draw, expected {_EXPECTED}.")
    named = list(names) if names is not None else [trace.name for trace in found]
    if len(named) != len(found):
        raise InvalidInputError(f"names has {len(named)} names, but there are {len(found)} runs.")
    return [replace(trace, name=name) for trace, name in zip(found, named, strict=True)]


def _traces(source: Any) -> list[Trace]:
    if isinstance(source, Trace):
        return [source]
    if isinstance(source, History):
        return _of_history(source)
    if isinstance(source, Recording):
        return _of_recording(source)
    if isinstance(source, str | os.PathLike):
        return _of_recording(load(source), os.path.basename(os.fspath(source)))
    if isinstance(source, MultistartResult):
        return _of_results(source.runs)
    if isinstance(source, OptimizerResult):
        return _of_results([source])
    if isinstance(source, list) and all(isinstance(own, OptimizerResult) for own in source):
        return _of_results(source)
    if isinstance(source, Mapping):  # a race, or a user's dict, by name
        return [
            replace(trace, name=str(name), family=str(name))
            for name, own in source.items()
            for trace in _traces(own)
        ]
    if isinstance(source, list | tuple):
        return [trace for own in source for trace in _traces(own)]
    raise InvalidInputError(f"The run is {source!r:.200}, expected {_EXPECTED}.")


def _of_results(results: Iterable[OptimizerResult]) -> list[Trace]:
    """Return the runs of results, several of which may share one record."""
    records, found = dict[int, list[Trace]](), []
    for result in results:
        record, run = result._record, result.get("run", 0)
        if record is None:
            raise InvalidInputError(
                "This result has no record of its run: run it with callback=History(), or with a "
                "journal."
            )
        if id(record) not in records:
            records[id(record)] = _traces(record)
        own = records[id(record)]
        if len(own) == 1 or run < len(own):
            trace = own[0 if len(own) == 1 else run]
            header = trace.header or result._about
            state = trace.state or (result if isinstance(record, History) else None)
            found.append(replace(trace, result=result, header=header, state=state))
    return found


def _of_history(history: History) -> list[Trace]:
    if not (history.evaluations or history.states):
        raise InvalidInputError(
            "The history is empty: pass it to minimize as callback, and plot it after the run."
        )
    runs = {e.run for e in history.evaluations} | {s.get("run", 0) for s in history.states}
    found = []
    for run in sorted(runs):
        own = [e for e in history.evaluations if e.run == run]
        states = [s for s in history.states if s.get("run", 0) == run]
        found.append(_trace(f"run {run}" if len(runs) > 1 else "run", own, states))
    return found


def _trace(name: str, own: list[Evaluated], states: list[OptimizerResult]) -> Trace:
    n = max([e.x.size for e in own] + [s.x_flat.size for s in states], default=0)
    points = np.full((len(own), n), math.nan)
    for row, e in enumerate(own):
        points[row] = e.x if e.x.size else math.nan
    return Trace(
        name,
        np.array([e.fun for e in own], np.float64),
        points,
        np.array([e.wave for e in own], np.int64),
        np.array([e.began for e in own], np.float64),
        np.array([e.ended for e in own], np.float64),
        [e.worker for e in own],
        [None if e.failure is None else str(e.failure) for e in own],
        np.array([e.shots for e in own], np.float64),
        np.array([s.nfev for s in states], np.int64),
        np.array([s.x_flat for s in states], np.float64).reshape(-1, n),
        np.array([math.nan if s.fun is None else s.fun for s in states], np.float64),
        np.array([s.get("is_estimate", False) for s in states], np.bool_),
        sign=-1.0 if _maximizes(own, states) else 1.0,
        seen=[s.x for s in states],
        state=states[0] if states else None,
    )


def _maximizes(own: list[Evaluated], states: list[OptimizerResult]) -> bool:
    return own[0].maximize if own else bool(states[0].get("maximize"))


def _of_recording(recording: Recording, name: str | None = None) -> list[Trace]:
    known = recording._real_values
    # Neither time nor worker is known of answers that arrived late.
    places = [i for i, record in enumerate(known) if not record.is_late]
    records, waves = [known[i] for i in places], recording.waves[places]
    began, ended = _times(records, waves)
    runs = np.array([record.run for record in records], np.int64)
    numbers = np.unique(runs).tolist()
    called = (recording.header.get("many") or {}).get("optimizers") or {}
    many = list(called) or [f"run {run}" for run in numbers]
    name = name or title_of(recording.header)
    return [
        _recorded(
            many[run] if len(numbers) > 1 and run < len(many) else name,
            recording,
            [records[i] for i in own],
            (waves[own], began[own], ended[own]),
            recording.result if len(numbers) == 1 else None,
        )
        for run in numbers
        for own in [np.flatnonzero(runs == run)]
    ]


def _times(records: list[Record], waves: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return starts and ends, as if each wave had begun when the last one ended."""
    began, ended, free = np.zeros(len(records)), np.zeros(len(records)), dict[str, float]()
    start, latest, last = 0.0, 0.0, 0
    for i, record in enumerate(records):
        if waves[i] != last:
            start, last, free = latest, waves[i], {}
        began[i] = max(start, free.get(record.worker, start))
        ended[i] = free[record.worker] = began[i] + (record.seconds or 0.0)
        latest = max(latest, ended[i])
    return began, ended


def _recorded(
    name: str,
    recording: Recording,
    own: list[Record],
    times: tuple[NDArray[np.int64], Array, Array],
    result: OptimizerResult | None,
) -> Trace:
    """Return a run of a journal, given its waves, and the starts and ends of its evaluations."""
    n, sign = recording.header["problem"]["n"], sign_of(recording.header)
    best = min((r for r in own if r.residuals is not None), key=_value, default=None)
    return Trace(
        name,
        sign * np.array([math.nan if r.fun is None else r.fun for r in own], np.float64),
        np.array([r.x for r in own], np.float64).reshape(-1, n),
        *times,
        [r.worker for r in own],
        [r.failure for r in own],
        np.array([recording._shots_of(r) for r in own], np.float64),
        np.empty(0, np.int64),
        np.empty((0, n)),
        np.empty(0),
        np.empty(0, np.bool_),
        result,
        recording.header,
        None if best is None else best.residuals,
        sign,
    )


def _value(record: Record) -> float:
    return math.inf if record.fun is None or math.isnan(abs(record.fun)) else float(abs(record.fun))
