"""Fidelities: how much the states of two parameter vectors overlap."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidValueError, MissingExtraError, NonFiniteValueError, OptionError
from optimizers.evaluation.answers import as_value, as_values
from optimizers.evaluation.evaluator import is_vectorized, vectorized

#: ``fidelity(x, y)``: of arrays (n,) a number; if it is vectorized, of stacks (k, n) as many.
Fidelity = Callable[[NDArray[Any], NDArray[Any]], Any]


def flat_fidelity(fidelity: Fidelity, n: int) -> Callable[[Array, Array], Array]:
    """Return a fidelity of k pairs at once, in the form of a ``hessp``: (k * n,) each to (k,)."""

    def flat(first: Array, second: Array) -> Array:
        xs, ys = first.reshape(-1, n), second.reshape(-1, n)
        if is_vectorized(fidelity):
            try:
                values = as_values(fidelity(xs, ys), len(xs))
            except InvalidValueError as error:
                raise InvalidValueError(f"Of a wave of fidelities: {error}") from error
        else:
            values = np.array([as_value(fidelity(x, y)) for x, y in zip(xs, ys, strict=True)])
        if not np.isfinite(values).all():
            raise NonFiniteValueError(
                f"fidelity returned {values[~np.isfinite(values)][0]}, expected finite numbers."
            )
        return np.asarray(values, dtype=np.float64)

    return flat


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


def circuit_fidelity(
    circuit: Any, sampler: Any, transpiler: Any, transpiler_options: dict[str, Any] | None
) -> Fidelity:
    """Return the fidelity of a circuit of Qiskit's; see :meth:`QNSPSA.get_fidelity`."""
    if not hasattr(circuit, "num_parameters"):
        raise OptionError(
            f"circuit is {circuit!r:.200}, expected a circuit of Qiskit's with parameters, or a "
            "function state(x) that returns a state vector."
        )
    try:
        primitives = import_module("qiskit.primitives")
        fidelities = import_module("qiskit_algorithms.state_fidelities")
    except ImportError as error:
        raise MissingExtraError(
            "The fidelity of a circuit needs qiskit and qiskit-algorithms: "
            "pip install 'variational-optimizers[qiskit]'."
        ) from error
    job = fidelities.ComputeUncompute(
        primitives.StatevectorSampler() if sampler is None else sampler,
        transpiler=transpiler,
        transpiler_options=transpiler_options,
    )

    @vectorized
    def fidelity(x: NDArray[Any], y: NDArray[Any]) -> Array:
        xs, ys = np.atleast_2d(x).tolist(), np.atleast_2d(y).tolist()
        circuits = [circuit] * len(xs)
        return np.asarray(job.run(circuits, circuits, xs, ys).result().fidelities, dtype=np.float64)

    return fidelity
