"""SPSA along the natural gradient of quantum states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.errors import InvalidValueError, MissingExtraError, NonFiniteValueError, OptionError
from optimizers.evaluation.answers import as_value, as_values
from optimizers.evaluation.evaluator import is_vectorized, vectorized
from optimizers.flow import FlowOptimizer, FlowSettings, Products
from optimizers.options.table import Check, Option, redeclared, refused
from optimizers.problem.problem import Problem
from optimizers.variational.calibration import Asking, SeriesLike, check_pair
from optimizers.variational.perturbations import Probes
from optimizers.variational.spsa import SPSA


def _test_fidelity(name: str, given: Any) -> None:
    if not callable(given):
        expected = "a callable fidelity(x, y): QNSPSA.get_fidelity makes one of a circuit or of a "
        raise refused(name, given, expected + "function that returns states")


class QNSPSA(SPSA):
    r"""Quantum natural SPSA: steps conditioned by a sampled metric of the states.

    The gradient is that of :class:`SPSA`. The metric is that of Fubini and Study, a quarter of the
    quantum Fisher information: the negative half of the Hessian of the fidelity
    :math:`F(x, y) = |\langle\psi(x)|\psi(y)\rangle|^2` in ``y`` at ``x``. Four fidelities tell a
    sample of it, whatever the number of variables [1]_. The running mean of the samples conditions
    the step; it is what the options call the Hessian.

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

    _declared: tuple[Option, ...] = (
        Option("fidelity", None, Check("callable", _test_fidelity)).means(
            "``fidelity(x, y) -> float``, with arrays of shape (n,); or, marked by "
            ":func:`optimizers.vectorized`, with stacks (k, n) of all pairs of an iteration. See "
            ":meth:`QNSPSA.get_fidelity`. There is no run without it."
        ),
        *(
            option
            for option in redeclared(SPSA._declared, blocking=True)
            if option.name not in ("trust_region", "last_avg", "second_order")
        ),
    )

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
        options = self._gathered(locals())
        check_pair(options)
        FlowOptimizer.__init__(self, options, callback=callback, **settings)

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
        centers = np.tile(probes.center, points.size // probes.center.size)
        told = yield Products(centers, points.ravel())
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
            A circuit with parameters, which needs the extra ``qiskit``; or ``state(x)`` that
            returns the state vector, or a stack of them if :func:`optimizers.vectorized` marks it.
        sampler : BaseSamplerV2, optional
            What samples the circuits; Qiskit's ``StatevectorSampler`` by default.
        transpiler, transpiler_options : optional
            As for Qiskit's ``ComputeUncompute``, which does the work.

        Returns
        -------
        callable
            ``fidelity(x, y)`` of stacks (k, n), vectorized: all pairs are one job.

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
