"""Sums of Pauli strings: their matrix, and how they are measured."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MeasurementBasis", "checked", "matrix", "measurement_bases"]

Array = NDArray[np.float64]
Terms = Mapping[str, float]

# What turns the eigenbasis of a Pauli matrix into the computational basis.
_TO_Z: Final[dict[str, NDArray[np.float64] | NDArray[np.complex128]]] = {
    "X": np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0),
    "Y": np.array([[1.0, -1.0j], [1.0, 1.0j]]) / np.sqrt(2.0),
}


def checked(hamiltonian: Terms) -> dict[str, float]:
    """Return the Hamiltonian as a dict of floats; a ValueError if it is not a sum of Paulis."""
    lengths = {len(label) for label in hamiltonian}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"hamiltonian has labels {list(hamiltonian)}, "
            "expected one or more of one and the same length, one character per qubit"
        )
    for label, coefficient in hamiltonian.items():
        if not set(label) <= set("IXYZ"):
            raise ValueError(f"hamiltonian has the label {label!r}, expected characters of 'IXYZ'")
        if np.iscomplexobj(coefficient) or not np.isfinite(coefficient):
            raise ValueError(
                f"hamiltonian has the coefficient {coefficient!r} for {label!r}, "
                "expected a finite real number"
            )
    return {label: float(coefficient) for label, coefficient in hamiltonian.items()}


def _sign(label: str, axes: str) -> Array:
    """Return for each basis state -1 to the power of its ones where the label has such an axis."""
    signs = (np.array([1.0, -1.0 if axis in axes else 1.0]) for axis in label)
    return reduce(np.kron, signs)


def matrix(hamiltonian: Terms) -> NDArray[np.complex128]:
    """Return the Hermitian matrix of the sum, shape (2**qubits, 2**qubits)."""
    num_qubits = len(next(iter(hamiltonian)))
    state = np.arange(2**num_qubits)
    total = np.zeros((state.size, state.size), dtype=np.complex128)
    for label, coefficient in hamiltonian.items():
        # With Y = i X Z a string is a phase, a sign for each state, and a flip of some bits.
        phase = 1j ** (label.count("Y") % 4)
        flips = int("".join("1" if axis in "XY" else "0" for axis in label), 2)
        total[state ^ flips, state] += coefficient * phase * _sign(label, "YZ")
    return total


class MeasurementBasis:
    """Pauli strings that agree on every qubit, so that one measurement gives them all.

    Parameters
    ----------
    axes : str
        The axis that is measured on each qubit, ``"I"`` where it does not matter; the leftmost
        character is the highest qubit.
    terms : mapping of str to float
        The strings and their coefficients.

    Attributes
    ----------
    values : ndarray, shape (2**qubits,)
        For each outcome the value of the sum of the terms.
    """

    def __init__(self, axes: str, terms: Terms) -> None:
        self._axes = axes
        self.values: Array = np.zeros(2 ** len(axes))
        for label, coefficient in terms.items():
            self.values += coefficient * _sign(label, "XYZ")

    def probabilities(self, states: Array) -> Array:
        """Return the probability of each outcome, shape (k, 2**qubits), for k states alike."""
        rotated: NDArray[np.float64] | NDArray[np.complex128] = states
        for qubit, axis in enumerate(reversed(self._axes)):
            if axis in _TO_Z:
                split = rotated.reshape(len(states), states.shape[1] >> (qubit + 1), 2, 2**qubit)
                rotated = (_TO_Z[axis] @ split).reshape(states.shape)
        weight = np.abs(rotated) ** 2
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def measurement_bases(hamiltonian: Terms) -> list[MeasurementBasis]:
    """Return bases that measure all strings but the identity, each string in the first that fits.

    Strings share a basis if they commute qubit by qubit: on every qubit they have the same axis, or
    one of them has none.
    """
    groups: list[tuple[str, dict[str, float]]] = []
    for label, coefficient in hamiltonian.items():
        if not label.strip("I"):
            continue
        for i, (axes, terms) in enumerate(groups):
            if all(a == b or "I" in (a, b) for a, b in zip(axes, label, strict=True)):
                merged = (a if b == "I" else b for a, b in zip(axes, label, strict=True))
                groups[i] = ("".join(merged), terms | {label: coefficient})
                break
        else:
            groups.append((label, {label: coefficient}))
    return [MeasurementBasis(axes, terms) for axes, terms in groups]
