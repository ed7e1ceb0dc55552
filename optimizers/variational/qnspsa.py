"""SPSA along the natural gradient of quantum states."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.errors import OptionError
from optimizers.flow import FlowOptimizer, FlowSettings, Products
from optimizers.problem.problem import Problem
from optimizers.variational.fidelity import (
    Fidelity,
    circuit_fidelity,
    flat_fidelity,
    state_fidelity,
)
from optimizers.variational.perturbations import Probes
from optimizers.variational.series import SeriesLike
from optimizers.variational.spsa import SPSA
from optimizers.variational.spsa_options import check_rates, own
from optimizers.variational.spsa_start import Asking


class QNSPSA(SPSA):
    r"""Quantum natural SPSA: steps conditioned by a sampled metric of the states.

    The gradient is that of :class:`SPSA`. The metric is that of Fubini and Study, a quarter of the
    quantum Fisher information; it is the negative half of the Hessian of the fidelity
    :math:`F(x, y) = |\langle\psi(x)|\psi(y)\rangle|^2` in ``y`` at ``x``, of which four fidelities
    tell a sample, whatever the number of variables [1]_. The running mean of the samples conditions
    the step, so that it has about the same effect on the state along all variables.

    Parameters
    ----------
    fidelity : callable, optional
        ``fidelity(x, y) -> float``, with arrays of shape (n,); or, marked by
        :func:`optimizers.vectorized`, with stacks (k, n) of all pairs of an iteration. See
        :meth:`get_fidelity`. There is no run without it.
    maxiter : int, default 100
        Maximum number of steps.
    blocking : bool, default True
        Whether a step is taken only if the value at its end, which is evaluated then, is less than
        the last plus ``allowed_increase``.
    allowed_increase : float, optional
        By default twice the standard deviation of 25 values at the start, measured in each run.
    learning_rate : float, sequence of float or callable, optional
        As for :class:`SPSA`.
    perturbation : float, sequence of float or callable, optional
        How far each variable is moved, likewise. Give both or none.
    resamplings : int or dict of int to int, default 1
        How many directions gradient and metric are the mean of; or for some iterations, counted
        from 1, and a single one for the others.
    perturbation_dims : int, optional
        How many variables are moved at a time, chosen at random; all by default.
    regularization : float, optional
        What is added to the diagonal of the metric, made positive definite; 0.01 by default.
    hessian_delay : int, default 0
        After how many iterations the metric, sampled from the first, conditions steps.
    lse_solver : callable, optional
        ``lse_solver(metric, gradient) -> step``; by default ``numpy.linalg.solve``.
    initial_hessian : array_like of shape (n, n), optional
        What the mean of metrics begins with; the identity by default.
    callback : callable, optional
        As for :class:`SPSA`.
    termination_checker : callable, optional
        As for :class:`SPSA`.
    **settings
        Settings of each run; see :class:`~optimizers.flow.FlowSettings`.

    Raises
    ------
    OptionError
        If an option has a value that cannot be used, or a run is begun without ``fidelity``.

    Notes
    -----
    Fidelities are no evaluations of the objective: the result's ``nhev`` counts their waves, one an
    iteration, of four pairs for each resampling. They are called in the thread of the run, and
    recorded in its journal. If one fails, the run ends with its error.

    References
    ----------
    .. [1] J. Gacon, C. Zoufal, G. Carleo and S. Woerner, "Simultaneous perturbation stochastic
       approximation of the quantum Fisher information", Quantum 5 (2021) 567.

    Examples
    --------
    >>> from optimizers import vectorized
    >>> from optimizers.problems import h2
    >>> energy = h2()
    >>> fidelity = QNSPSA.get_fidelity(vectorized(energy.states))
    >>> result = QNSPSA(fidelity, maxiter=60, seed=7).minimize(energy, energy.x0)
    >>> result.nhev, result.nfev  # 76 at the start, 2 and the proposed point an iteration
    (60, 256)
    >>> bool(result.fun - energy.ground_energy < 0.05)
    True
    """

    _shifts_are_asked: ClassVar[bool] = False
    # What SPSA has as options, and the natural gradient does not, as in Qiskit.
    trust_region = property(lambda self: False)
    last_avg = property(lambda self: 1)
    second_order = property(lambda self: True)

    def __init__(  # type: ignore[misc]  # callback, a setting of each run, has Qiskit's place
        self,
        fidelity: Fidelity | None = None,
        maxiter: int = 100,
        blocking: bool = True,
        allowed_increase: float | None = None,
        learning_rate: SeriesLike | None = None,
        perturbation: SeriesLike | None = None,
        resamplings: int | dict[int, int] = 1,
        perturbation_dims: int | None = None,
        regularization: float | None = None,
        hessian_delay: int = 0,
        lse_solver: Callable[[Array, Array], Array] | None = None,
        initial_hessian: ArrayLike | None = None,
        callback: Callable[..., Any] | None = None,
        termination_checker: Callable[[int, Array, float, float, bool], bool] | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        options = {
            "fidelity": fidelity,
            "maxiter": maxiter,
            "blocking": blocking,
            "allowed_increase": allowed_increase,
            "learning_rate": learning_rate,
            "perturbation": perturbation,
            "resamplings": resamplings,
            "perturbation_dims": perturbation_dims,
            "regularization": regularization,
            "hessian_delay": hessian_delay,
            "lse_solver": lse_solver,
            "initial_hessian": initial_hessian,
            "termination_checker": termination_checker,
        }
        check_rates(options)
        FlowOptimizer.__init__(self, own(options), callback=callback, **settings)

    @override
    def _check_options(self, options: dict[str, Any]) -> None:
        super()._check_options(options)
        if not (options["fidelity"] is None or callable(options["fidelity"])):
            raise OptionError(
                f"fidelity is {options['fidelity']!r:.200}, expected a callable fidelity(x, y): "
                "QNSPSA.get_fidelity makes one of a circuit or of a function that returns states."
            )

    @override
    def _problem(self, *arguments: Any, **named: Any) -> Problem:
        problem = super()._problem(*arguments, **named)
        if self.fidelity is None:
            raise OptionError(
                "QNSPSA has no fidelity: give it fidelity(x, y), how much the states of two points "
                "overlap, to the constructor. QNSPSA.get_fidelity makes one of a circuit or of a "
                "function that returns states."
            )
        # There it is recorded in a journal.
        return replace(problem, hessp=flat_fidelity(self.fidelity, problem.n))

    @override
    def _other_curvature(self, probes: Probes) -> Asking:
        points = probes.all
        centres = np.tile(probes.centre, points.size // probes.centre.size)
        told = yield Products(centres, points.ravel())
        every = np.ones(len(points), dtype=bool)
        return -0.5 * probes.mean_curvature(told.fun.reshape(len(points), -1), every)

    @staticmethod
    def get_fidelity(
        circuit: Any,
        sampler: Any = None,
        *,
        transpiler: Any = None,
        transpiler_options: dict[str, Any] | None = None,
    ) -> Fidelity:
        r"""Return the fidelity of a circuit's, or a function's, states at two points.

        .. math:: F(x, y) = |\langle\psi(x)|\psi(y)\rangle|^2

        Parameters
        ----------
        circuit : qiskit.circuit.QuantumCircuit or callable
            A circuit with parameters, which needs the extra ``qiskit``; or a function
            ``state(x)`` that returns the state vector. Marked by :func:`optimizers.vectorized`, it
            takes a stack of points (k, n) and returns a stack of states.
        sampler : BaseSamplerV2, optional
            What samples the circuits; Qiskit's ``StatevectorSampler`` by default.
        transpiler, transpiler_options : optional
            As for Qiskit's ``ComputeUncompute``, which does the work.

        Returns
        -------
        callable
            ``fidelity(x, y)``, marked by :func:`optimizers.vectorized`: shapes (n,) or (k, n) each,
            and (k,) numbers. All pairs are one job.

        Raises
        ------
        MissingExtraError
            If a circuit is given and Qiskit is not installed.
        OptionError
            If ``circuit`` is neither, or there is a sampler for a function.

        Examples
        --------
        >>> fidelity = QNSPSA.get_fidelity(lambda x: [np.cos(x[0] / 2), np.sin(x[0] / 2)])
        >>> fidelity([0.0], [np.pi / 2]).round(6)
        array([0.5])
        """
        if not callable(circuit):
            return circuit_fidelity(circuit, sampler, transpiler, transpiler_options)
        if not (sampler is None and transpiler is None and transpiler_options is None):
            raise OptionError(
                "sampler and transpiler have no effect on a function that returns states."
            )
        return state_fidelity(circuit)
