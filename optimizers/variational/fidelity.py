"""Fidelities of two states: as users give them, from states, and from circuits."""

from __future__ import annotations

import copy
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidValueError, MissingExtraError, NonFiniteValueError, OptionError
from optimizers.evaluation.answers import as_value, as_values
from optimizers.evaluation.marks import is_vectorized, marked, vectorized
from optimizers.options.table import Check, refused
from optimizers.problem.problem import Problem
from optimizers.problem.translated import Products as InStructure
from optimizers.run.run import Run

#: ``fidelity(x, y)``: a number for arrays (n,); if it is vectorized, k numbers for stacks (k, n).
Fidelity = Callable[[NDArray[Any], NDArray[Any]], Any]


def _test_fidelity(name: str, given: Any) -> None:
    if not callable(given):
        expected = (
            "a callable fidelity(x, y): QNSPSA.get_fidelity makes one from a circuit or from a "
        )
        raise refused(name, given, expected + "function that returns states")


#: A callable of two points.
FIDELITY = Check("callable", _test_fidelity)


class FlatFidelity:
    """A fidelity of k pairs at once, in the form of a ``hessp``: (k * n,) each to (k,)."""

    def __init__(self, fidelity: Fidelity, n: int, group: int) -> None:
        self._noise = np.random.default_rng(0)
        if isinstance(fidelity, CircuitFidelity):
            fidelity = fidelity.drawn_by(self._noise)
        self._fidelity, self._n = fidelity, n
        is_stacked = is_vectorized(fidelity)
        self._size = sys.maxsize if is_stacked else group
        #: Whether one without the mark is known to accept stacks.
        self._is_known = is_stacked
        #: The run, whose random numbers are in the same state whenever it gets here again.
        self.run: Callable[[], Run | None] = lambda: None

    def __call__(self, first: Array, second: Array) -> Array:
        """Return the fidelities of pairs."""
        if (run := self.run()) is not None:
            drawn = copy.deepcopy(run.rng).integers(2**32, size=4)
            self._noise.bit_generator.state = np.random.default_rng(drawn).bit_generator.state
        xs, ys = first.reshape(-1, self._n), second.reshape(-1, self._n)
        values = np.empty(len(xs))
        done = 0
        while done < len(xs):
            part = slice(done, done + self._size)
            values[part] = self._values(xs[part], ys[part])
            done = part.stop
        if not np.isfinite(values).all():
            raise NonFiniteValueError(
                f"fidelity returned {values[~np.isfinite(values)][0]}, expected finite numbers."
            )
        return values

    def _values(self, xs: Array, ys: Array) -> NDArray[Any]:
        """Return the fidelities of a group."""
        if self._size > 1:
            try:
                values = as_values(self._fidelity(xs, ys), len(xs))
            except Exception as error:
                if not self._is_known:  # in Qiskit it would fail; here it may accept pairs only
                    self._size = 1
                elif isinstance(error, InvalidValueError):
                    raise InvalidValueError(f"In a wave of fidelities: {error}") from error
                else:
                    raise
            else:
                self._is_known = True
                return values
        return np.array([as_value(self._fidelity(x, y)) for x, y in zip(xs, ys, strict=True)])


def started(
    start: Callable[[Problem], Run], problem: Problem, fidelity: Fidelity, group: int
) -> Run:
    """Start a run of a problem with a fidelity as its ``hessp``: so it is recorded in journals."""
    if problem.parameters is not None:
        fidelity = InStructure(fidelity, problem.parameters)
    flat = FlatFidelity(fidelity, problem.n, group)
    run = start(replace(problem, hessp=flat))
    flat.run = weakref.ref(run)
    return run


def state_fidelity(state: Callable[[Array], Any]) -> Fidelity:
    """Return the fidelity of state vectors; see :meth:`QNSPSA.get_fidelity`."""

    @vectorized
    def fidelity(x: NDArray[Any], y: NDArray[Any]) -> Array:
        xs, ys = np.atleast_2d(x), np.atleast_2d(y)
        # Most pairs of a wave have the same first point: each state is prepared once.
        points, rows = np.unique(np.concatenate([xs, ys]), axis=0, return_inverse=True)
        if is_vectorized(state):
            states = np.asarray(state(points))
        else:
            states = np.array([state(point.copy()) for point in points])
        if states.ndim != 2 or len(states) != len(points):
            raise InvalidValueError(
                f"state returned the shape {states.shape} for {len(points)} points, expected a "
                "state vector for each."
            )
        first, second = states[rows.ravel()[: len(xs)]], states[rows.ravel()[len(xs) :]]
        overlaps: Array = np.abs(np.einsum("ki,ki->k", first.conj(), second)) ** 2
        return overlaps

    return fidelity


@marked
class CircuitFidelity:
    """The fidelity of a Qiskit circuit; see :meth:`QNSPSA.get_fidelity`."""

    def __init__(
        self, circuit: Any, sampler: Any, transpiler: Any, transpiler_options: dict[str, Any] | None
    ) -> None:
        if not hasattr(circuit, "num_parameters"):
            raise OptionError(
                f"circuit is {circuit!r:.200}, expected a Qiskit circuit with parameters, or "
                "a function state(x) that returns a state vector."
            )
        try:
            primitives = import_module("qiskit.primitives")
            fidelities = import_module("qiskit_algorithms.state_fidelities")
        except ImportError as error:
            raise MissingExtraError(
                "The fidelity of a circuit needs Qiskit: pip install qiskit qiskit-algorithms."
            ) from error
        self._circuit, self._is_users = circuit, sampler is not None
        self._further = transpiler, transpiler_options
        self._default, job = primitives.StatevectorSampler, fidelities.ComputeUncompute
        self._job = job(
            sampler if self._is_users else self._default(),
            transpiler=transpiler,
            transpiler_options=transpiler_options,
        )

    def drawn_by(self, rng: np.random.Generator) -> CircuitFidelity:
        """Return the same fidelity with a default sampler that draws from a generator."""
        if self._is_users:
            return self
        return CircuitFidelity(self._circuit, self._default(seed=rng), *self._further)

    def __call__(self, x: NDArray[Any], y: NDArray[Any]) -> Array:
        """Return the fidelities of pairs in stacks."""
        xs, ys = np.atleast_2d(x).tolist(), np.atleast_2d(y).tolist()
        circuits = [self._circuit] * len(xs)
        found = self._job.run(circuits, circuits, xs, ys).result().fidelities
        return np.asarray(found, dtype=np.float64)
