"""SPSA along the natural gradient of quantum states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.flow import Asking
from optimizers.errors import OptionError
from optimizers.evaluation.evaluator import Evaluator
from optimizers.flow import FlowOptimizer, FlowSettings, Products
from optimizers.options.table import Option, redeclared
from optimizers.problem.problem import Problem
from optimizers.run.run import Run
from optimizers.support import Traits
from optimizers.variational.calibration import SeriesLike, check_pair
from optimizers.variational.fidelity import (
    FIDELITY,
    CircuitFidelity,
    Fidelity,
    started,
    state_fidelity,
)
from optimizers.variational.perturbations import Probes
from optimizers.variational.spsa import SPSA


class QNSPSA(SPSA):
    r"""Quantum natural SPSA: steps preconditioned by a sampled metric of the states.

    The gradient is that of :class:`SPSA`. The metric is that of Fubini and Study, a quarter of the
    quantum Fisher information: the negative half of the Hessian of the fidelity
    :math:`F(x, y) = |\langle\psi(x)|\psi(y)\rangle|^2` in ``y`` at ``x``. Four fidelities give a
    sample of it, for any number of variables [1]_. The running mean of the samples preconditions
    the step; the options call it the Hessian.

    Notes
    -----
    Fidelities are not evaluations of the objective: the result's ``nhev`` counts their waves, one
    per iteration, of four pairs for each resampling. They are called in the thread of the run, and
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
    >>> result.nhev, result.nfev  # 76 at the start, 2 and the proposed point per iteration
    (60, 256)
    >>> bool(result.fun - energy.ground_energy < 0.05)
    True
    """

    traits = Traits(
        "Noisy circuits for which the fidelity of two states can be computed.",
        noise=True,
        parallel=True,
        random=True,
    )

    _shifts_are_asked: ClassVar[bool] = False
    # Options of SPSA that the natural gradient does not have, as in Qiskit.
    trust_region = property(lambda self: False)
    last_avg = property(lambda self: 1)
    second_order = property(lambda self: True)

    _declared: tuple[Option, ...] = (
        Option("fidelity", None, FIDELITY).means(
            "``fidelity(x, y) -> float``, with arrays of shape (n,); or, marked by "
            ":func:`optimizers.vectorized`, with stacks (k, n) of all pairs of an iteration. With "
            "``max_evals_grouped > 1`` one without the mark gets stacks too, of at most that many "
            "pairs, as in Qiskit; if it fails with the first of them, it gets pairs. See "
            ":meth:`QNSPSA.get_fidelity`. It is required."
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
        settings.setdefault("max_evals_grouped", None)
        FlowOptimizer.__init__(self, options, callback=callback, **settings)

    @override
    def _problem(self, *arguments: Any, **named: Any) -> Problem:
        problem = super()._problem(*arguments, **named)
        if self.fidelity is None:
            raise OptionError(
                "QNSPSA has no fidelity: pass fidelity(x, y), the overlap of the states of two "
                "points, to the constructor. QNSPSA.get_fidelity makes one from a circuit or from "
                "a function that returns states."
            )
        # As a hessp it is recorded in journals.
        return replace(problem, hessp=self.fidelity)

    @override
    def _start_run(
        self, problem: Problem, settings: dict[str, Any], evaluator: Evaluator | None = None
    ) -> Run:
        group = self._group(problem.fun, self._effective_settings(settings)) or 1
        start = partial(super()._start_run, settings=settings, evaluator=evaluator)
        return started(start, problem, self.fidelity, group)

    @override
    def _other_curvature(self, probes: Probes) -> Asking[Any]:
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
            A circuit with parameters, which needs qiskit-algorithms; or ``state(x)`` that
            returns the state vector, or a stack of them if :func:`optimizers.vectorized` marks it.
        sampler : BaseSamplerV2, optional
            The sampler of the circuits. By default Qiskit's ``StatevectorSampler``, seeded in a run
            by its ``seed``; a given one keeps its own seed.
        transpiler, transpiler_options : optional
            As for Qiskit's ``ComputeUncompute``, which is used here.

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
            return CircuitFidelity(circuit, sampler, transpiler, transpiler_options)
        if not (sampler is None and transpiler is None and transpiler_options is None):
            raise OptionError(
                "sampler and transpiler have no effect on a function that returns states."
            )
        return state_fidelity(circuit)
