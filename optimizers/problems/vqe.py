"""A variational quantum eigensolver on a simulated state: the objective that the package is for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optimizers.evaluation import marks

from . import pauli

__all__ = ["VQE"]

Array = NDArray[np.float64]


class VQE:
    """The energy of a hardware-efficient trial state, as a function of its angles.

    The circuit rotates every qubit about Y, chains the qubits by controlled-NOT gates (0 to 1, 1 to
    2, ...), does both `reps` times, and rotates once more. The angles of the first layer come
    first, within a layer qubit 0 first. The state is simulated exactly; a stack of points is
    simulated at once. Memory and time grow as 4 to the power of the number of qubits: it is meant
    for about 10 and fewer.

    An instance can be pickled. A copy carries the state of the noise with it: copies that are sent
    to several processes draw the same noise.

    Parameters
    ----------
    hamiltonian : mapping of str to float
        Coefficients of Pauli strings in Qiskit's order: the leftmost character is the highest
        qubit. All strings have the same length, the number of qubits.
    reps : int, optional
        How often rotations and chain are repeated before the last rotations, 0 or more. Default 2.
    seed : int, optional
        Seed of the start `x0`, uniform in [-pi, pi). Default 0.
    shots : int, optional
        How often each measurement basis is sampled for one energy. Default None: the energy is
        exact.
    noise_seed : int, optional
        Seed of the samples; without `shots` it has no effect. Default None: the noise differs from
        instance to instance.
    errors : bool, optional
        Whether an energy comes with its standard error, estimated from the samples; without `shots`
        it has no effect. Default False.

    Raises
    ------
    ValueError
        If the Hamiltonian is not a real sum of Pauli strings of one length, `reps` is negative or
        `shots` is not positive.

    See Also
    --------
    h2 : The hydrogen molecule.
    ising : A chain of spins.

    Notes
    -----
    With `shots`, strings that commute qubit by qubit are measured together: each such basis is
    sampled `shots` times, and the energy is the mean over the samples plus the coefficient of the
    identity, which is exact. A stack draws the same samples as its points one by one.

    References
    ----------
    A. Kandala et al., "Hardware-efficient variational quantum eigensolver for small molecules and
    quantum magnets", Nature 549 (2017) 242-246.

    Examples
    --------
    >>> import numpy as np
    >>> vqe = VQE({"ZZ": -1.0, "IX": -0.5, "XI": -0.5}, reps=1, seed=7)
    >>> vqe
    <VQE: 2 qubits, 3 terms, reps=1, n=4, exact>
    >>> round(vqe.ground_energy, 6)
    -1.414214
    >>> vqe(np.zeros(4))
    -1.0
    >>> vqe(np.zeros((3, 4)))
    array([-1., -1., -1.])
    """

    def __init__(
        self,
        hamiltonian: Mapping[str, float],
        reps: int = 2,
        seed: int = 0,
        shots: int | None = None,
        noise_seed: int | None = None,
        errors: bool = False,
    ) -> None:
        if reps < 0:
            raise ValueError(f"reps={reps} given, expected 0 or more")
        if shots is not None and shots < 1:
            raise ValueError(f"shots={shots} given, expected 1 or more, or None for exact energies")
        self._hamiltonian = pauli.checked(hamiltonian)
        self._num_qubits = len(next(iter(self._hamiltonian)))
        self._reps = reps
        self._shots = shots
        # As with_errors marks it, for a single instance.
        self.__optimizers_errors__ = self._tells_errors = errors and shots is not None
        self._x0 = np.random.default_rng(seed).uniform(-np.pi, np.pi, self.n)
        self._rng = np.random.default_rng(noise_seed)
        self._bases = pauli.measurement_bases(self._hamiltonian)
        matrix = pauli.matrix(self._hamiltonian)
        self._ground_energy = float(np.linalg.eigvalsh(matrix)[0])
        # Rotations about Y and controlled-NOTs are real, so the state is; and a real state sees
        # nothing of the imaginary, antisymmetric part of a Hermitian matrix.
        self._matrix = np.ascontiguousarray(matrix.real)
        self._chain = self._chain_of_cnots()

    @property
    def num_qubits(self) -> int:
        """The number of qubits."""
        return self._num_qubits

    @property
    def n(self) -> int:
        """The number of angles: ``num_qubits * (reps + 1)``."""
        return self._num_qubits * (self._reps + 1)

    @property
    def x0(self) -> Array:
        """The start, shape (n,), in radians; a fresh array each time."""
        return self._x0.copy()

    @property
    def ground_energy(self) -> float:
        """The least eigenvalue of the Hamiltonian: no energy is below it."""
        return self._ground_energy

    @property
    def hamiltonian(self) -> dict[str, float]:
        """The coefficients of the Pauli strings; a fresh dict each time."""
        return dict(self._hamiltonian)

    @property
    def shots(self) -> int | None:
        """How often each measurement basis is sampled for one energy; None if it is exact."""
        return self._shots

    def __call__(self, x: ArrayLike) -> float | Array | tuple[float, float] | tuple[Array, Array]:
        """Return the energy at one point, or at each of a stack of points.

        Parameters
        ----------
        x : array_like, shape (n,), (k, n) or (k * n,)
            One point; a stack of k; or, as Qiskit's optimizers group points, k points one after
            another in one flat array.

        Returns
        -------
        float or ndarray, shape (k,)
            A float for one point, an array for several: in the units of the Hamiltonian. With
            `errors` and `shots` a tuple of two such: energies and standard errors, which are NaN
            with a single shot.

        Raises
        ------
        ValueError
            If `x` has another shape.
        """
        points, single = self._points(x)
        energies, errors = self._energies(points)
        if self._tells_errors:
            return (float(energies[0]), float(errors[0])) if single else (energies, errors)
        return float(energies[0]) if single else energies

    @marks.shots
    @marks.vectorized
    def measured(self, x: Array, shots: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return energies measured with chosen numbers of shots, and their standard errors.

        An objective marked by :func:`~optimizers.shots`, whatever `shots` of the instance is.

        Parameters
        ----------
        x : ndarray, shape (k, n)
            The points.
        shots : ndarray of int64, shape (k,)
            How often each measurement basis is sampled at each point.

        Returns
        -------
        energies, errors : ndarray of float64, shape (k,)
            The energies, and their standard errors, NaN for a single shot.

        Examples
        --------
        >>> from optimizers import SPSA
        >>> from optimizers.problems import h2
        >>> energy = h2(noise_seed=1)
        >>> result = SPSA(seed=1).minimize(energy.measured, energy.x0, shots=200, maxshots=50_000)
        >>> result.nshots
        50000
        """
        return self._sampled(np.asarray(x, dtype=np.float64), np.asarray(shots))

    def jac(self, x: ArrayLike) -> Array:
        """Return the gradient by the parameter-shift rule.

        The rule is exact: half the difference of the energies at each angle plus and minus pi/2.
        All 2n points are evaluated in one stack. With `shots` these energies are sampled, and the
        gradient is unbiased but as noisy as they are.

        Parameters
        ----------
        x : array_like, shape (n,), (k, n) or (k * n,)
            One point or several, as for the energy.

        Returns
        -------
        ndarray, shape (n,) or (k, n)
            One gradient, or one for each point.

        Raises
        ------
        ValueError
            If `x` has another shape.

        Examples
        --------
        >>> import numpy as np
        >>> VQE({"Z": 1.0}, reps=0).jac(np.array([np.pi / 2]))
        array([-1.])
        """
        points, single = self._points(x)
        shift = np.pi / 2.0 * np.eye(self.n)
        shifted = points[:, None, :] + np.concatenate([shift, -shift])
        energies = self._energies(shifted.reshape(-1, self.n))[0].reshape(-1, 2, self.n)
        gradients = (energies[:, 0] - energies[:, 1]) / 2.0
        return np.asarray(gradients[0] if single else gradients)

    def states(self, x: ArrayLike) -> Array:
        """Return the trial state, exactly, with `shots` too.

        Parameters
        ----------
        x : array_like, shape (n,), (k, n) or (k * n,)
            One point or several, as for the energy.

        Returns
        -------
        ndarray, shape (2**num_qubits,) or (k, 2**num_qubits)
            One state or one for each point: its real amplitudes, qubit 0 the lowest bit.

        Raises
        ------
        ValueError
            If `x` has another shape.

        Examples
        --------
        >>> import numpy as np
        >>> VQE({"Z": 1.0}, reps=0).states(np.array([np.pi])).round(6)
        array([0., 1.])
        """
        points, single = self._points(x)
        states = self._states(points)
        return np.asarray(states[0] if single else states)

    def __repr__(self) -> str:
        """Return the size of the problem and whether its energies are exact."""
        noise = "exact" if self._shots is None else f"shots={self._shots}"
        return (
            f"<VQE: {self._num_qubits} qubits, {len(self._hamiltonian)} terms, "
            f"reps={self._reps}, n={self.n}, {noise}>"
        )

    def _points(self, x: ArrayLike) -> tuple[Array, bool]:
        """Return the points as a stack, and whether there was one that was not in a stack."""
        array = np.asarray(x, dtype=np.float64)
        flat = array.ndim == 1 and array.size > 0 and array.size % self.n == 0
        if not flat and (array.ndim != 2 or array.shape[1] != self.n):
            raise ValueError(
                f"x has shape {array.shape}, expected ({self.n},) for one point, "
                f"(k, {self.n}) for k points or (k * {self.n},) for k points in a flat array"
            )
        return array.reshape(-1, self.n), array.shape == (self.n,)

    def _energies(self, points: Array) -> tuple[Array, Array]:
        """Return the energies, and with `errors` the standard errors of sampled ones."""
        if self._shots is not None:
            return self._sampled(points, np.full(len(points), self._shots))
        states = self._states(points)
        energies = np.einsum("ki,ki->k", states @ self._matrix, states)
        return np.asarray(energies), np.zeros(len(points))

    def _sampled(self, points: Array, shots: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return energies from samples, and their standard errors; points have their own shots."""
        energies = np.full(len(points), self._hamiltonian.get("I" * self._num_qubits, 0.0))
        if not self._bases:
            return energies, np.zeros(len(points))
        # Point by point, and for each basis by basis: a stack draws what single points draw.
        states = self._states(points)
        chances = np.stack([basis.probabilities(states) for basis in self._bases], axis=1)
        values = np.array([basis.values for basis in self._bases])
        counts = self._rng.multinomial(shots[:, None], chances)
        energies += np.einsum("kbo,bo->k", counts, values) / shots
        # The bases are sampled independently. A single shot does not show how much another differs.
        means = np.einsum("kbo,bo->kb", counts, values) / shots[:, None]
        squares = np.einsum("kbo,kbo->kb", counts, (values - means[:, :, None]) ** 2)
        variances = squares / np.where(shots > 1, shots - 1, np.nan)[:, None]
        return energies, np.sqrt(variances.sum(axis=1) / shots)

    def _states(self, points: Array) -> Array:
        """Return the trial state of each point, shape (k, 2**qubits)."""
        states = np.zeros((len(points), 2**self._num_qubits))
        states[:, 0] = 1.0
        layers = points.reshape(len(points), self._reps + 1, self._num_qubits) / 2.0
        for layer in range(self._reps + 1):
            if layer > 0:
                states = states[:, self._chain]
            for qubit in range(self._num_qubits):
                states = _rotate_y(states, layers[:, layer, qubit], qubit)
        return states

    def _chain_of_cnots(self) -> NDArray[np.intp]:
        """Return for each basis state the one that the chain of controlled-NOTs takes to it."""
        source = np.arange(2**self._num_qubits)
        for control in reversed(range(self._num_qubits - 1)):
            source ^= ((source >> control) & 1) << (control + 1)
        return source


def _rotate_y(states: Array, half_angles: Array, qubit: int) -> Array:
    """Return the states, shape (k, 2**qubits), each with one qubit rotated by its own angle."""
    cosine = np.cos(half_angles)[:, None, None]
    sine = np.sin(half_angles)[:, None, None]
    split = states.reshape(len(states), states.shape[1] >> (qubit + 1), 2, 2**qubit)
    zero, one = split[:, :, 0], split[:, :, 1]
    rotated = np.stack([cosine * zero - sine * one, sine * zero + cosine * one], axis=2)
    return rotated.reshape(states.shape)
