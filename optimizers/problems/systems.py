"""Two systems for the variational eigensolver: the hydrogen molecule, and a chain of spins."""

from __future__ import annotations

from collections.abc import Mapping

from .vqe import VQE

__all__ = ["h2", "ising"]


def h2(
    reps: int = 2,
    seed: int = 7,
    shots: int | None = None,
    noise_seed: int | None = None,
    errors: bool = False,
) -> VQE:
    """Return the eigensolver of the hydrogen molecule at 0.735 angstrom, on two qubits.

    Parameters
    ----------
    reps : int, optional
        Depth of the circuit; it has ``2 * (reps + 1)`` angles. Default 2.
    seed : int, optional
        Seed of the start. From the default, 7, at the default depth SciPy's TNC and L-BFGS-B reach
        the ground energy to 1e-8, with the gradient and also without it.
    shots : int, optional
        Samples per measurement basis. Default None: exact energies.
    noise_seed : int, optional
        Seed of the samples. Default None: different noise each time.
    errors : bool, optional
        Whether sampled energies come with their standard errors. Default False.

    Returns
    -------
    VQE
        Energies are electronic, in hartree; the ground energy is -1.857275030202.

    Notes
    -----
    The Hamiltonian is that of the orbital basis STO-3G under the parity mapping with two qubits
    saved, as Qiskit Nature prints it.

    Examples
    --------
    >>> problem = h2()
    >>> problem.n
    6
    >>> round(problem.ground_energy, 12)
    -1.857275030202
    """
    hamiltonian = {
        "II": -1.052373245772859,
        "IZ": 0.39793742484318045,
        "ZI": -0.39793742484318045,
        "ZZ": -0.01128010425623538,
        "XX": 0.18093119978423156,
    }
    return VQE(hamiltonian, reps=reps, seed=seed, shots=shots, noise_seed=noise_seed, errors=errors)


def ising(
    num_qubits: int = 4,
    field: float = 1.0,
    reps: int = 5,
    seed: int = 0,
    shots: int | None = None,
    noise_seed: int | None = None,
    errors: bool = False,
) -> VQE:
    r"""Return the eigensolver of the Ising chain in a transverse field.

    .. math:: H = -\sum_{i=0}^{q-2} Z_i Z_{i+1} - h \sum_{i=0}^{q-1} X_i

    Parameters
    ----------
    num_qubits : int, optional
        The length q of the chain, with open ends; 2 or more. Default 4.
    field : float, optional
        The field h; at 1, the default, the infinite chain is critical.
    reps : int, optional
        Depth of the circuit; it has ``num_qubits * (reps + 1)`` angles, by default 24. There, the
        trial states reach the ground energy.
    seed, shots, noise_seed, errors
        As in :class:`VQE`.

    Returns
    -------
    VQE
        Energies are in units of the coupling.

    Raises
    ------
    ValueError
        If ``num_qubits`` is less than 2.

    Notes
    -----
    The ground energy is known: :math:`-\sum_k \varepsilon_k` over the singular values of the
    bidiagonal matrix with h on its diagonal and 1 beside it [1]_.

    References
    ----------
    .. [1] P. Pfeuty, "The one-dimensional Ising model with a transverse field", Annals of Physics
       57 (1970) 79-90.

    Examples
    --------
    >>> problem = ising()
    >>> problem.n, round(problem.ground_energy, 6)
    (24, -4.75877)
    """
    if num_qubits < 2:
        raise ValueError(f"num_qubits={num_qubits} given, expected 2 or more")

    def string(axes: Mapping[int, str]) -> str:
        return "".join(axes.get(qubit, "I") for qubit in reversed(range(num_qubits)))

    hamiltonian = {string({i: "Z", i + 1: "Z"}): -1.0 for i in range(num_qubits - 1)}
    hamiltonian |= {string({i: "X"}): -field for i in range(num_qubits)}
    return VQE(hamiltonian, reps=reps, seed=seed, shots=shots, noise_seed=noise_seed, errors=errors)
