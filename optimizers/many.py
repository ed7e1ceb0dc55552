"""Many runs of one optimizer that advance together."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from typing_extensions import Unpack

from optimizers._types import ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.gradients.source import Jacobian
from optimizers.journal.records import encoded
from optimizers.journal.session import together
from optimizers.lockstep.many import as_starts, minimize_many
from optimizers.lockstep.results import OptimizerResults
from optimizers.options.settings import RunSettings
from optimizers.problem.parameters import starts_in
from optimizers.problem.translated import showing
from optimizers.profiling import Profiling


class ManyRuns(Profiling):
    """Runs from many starts at the same time."""

    def minimize_many(
        self,
        fun: Objective,
        X0: ArrayLike,  # noqa: N803  # an array of two dimensions
        jac: Jacobian = None,
        bounds: BoundsLike = None,
        *,
        constraints: ConstraintsLike = (),
        hess: Any = None,
        hessp: Callable[..., Any] | None = None,
        on_error: Literal["return", "raise"] = "return",
        **settings: Unpack[RunSettings],
    ) -> OptimizerResults:
        """Minimize from many starts, with runs that advance together.

        The values, probes and gradients that all runs need next form one wave: one call of a
        vectorized objective, or one round of the workers. Each result equals that of
        :meth:`minimize` from the same start with the same settings.

        Parameters
        ----------
        fun, jac, bounds, constraints, hess, hessp
            As in :meth:`minimize`, for all runs. ``hess`` and ``hessp`` are called in turn.
        X0 : array_like of shape (B, n), or list of B structures
            The starts.
        on_error : {"return", "raise"}, default "return"
            What to do about runs that end with an error, after all have ended: ``"return"`` stores
            it in the attribute ``error`` of that run's result; ``"raise"`` raises the first one. If
            all runs fail, the first error is raised in any case.
        **settings
            As in :meth:`minimize`, for each run; but ``timeout`` is for the whole call, and only
            the first run gets ``seed`` as given, the others get streams spawned from it. In a
            callback that takes ``intermediate_result``, its entry ``run`` is the index of the run.
            One ``journal`` holds all runs, which resume from it together.

        Returns
        -------
        OptimizerResults
            The results in the order of the starts, and the best one.

        Raises
        ------
        InvalidInputError, CapabilityError, OptionError, UnknownOptionError
            Before the first evaluation, if an argument cannot be used.
        BaseException
            Whatever ends all runs, such as Ctrl-C or a broken pool of workers, and errors as
            ``on_error`` says; the attribute ``optimizer_results`` holds the results so far.

        Examples
        --------
        >>> from optimizers import LBFGSB, vectorized
        >>> @vectorized
        ... def fun(points):  # of all runs
        ...     return ((points**2 - 1) ** 2).sum(axis=1)
        >>> results = LBFGSB().minimize_many(fun, [[0.5, 2.0], [-3.0, 0.1], [1.5, 1.5]])
        >>> [result.x.round(3).tolist() for result in results]
        [[1.0, 1.0], [-1.0, 1.0], [1.0, 1.0]]
        """
        __tracebackhide__ = True
        given = dict(settings)
        scale = self._scale(given)
        nested = starts_in(X0, scale)
        further = {"constraints": constraints, "hess": hess, "hessp": hessp, "scale": scale}
        further["maximize"] = self._maximizes(given)
        if nested is None:
            starts = as_starts(X0)
            problem = self._problem(fun, starts[0], jac, bounds, **further)
        else:
            problem = self._problem(fun, nested[0], jac, bounds, **further)
        parameters = problem.parameters
        if nested is not None and parameters is not None:
            starts = np.array([problem.x0, *map(parameters.vector, nested[1:])])
        self._check_settings(given)
        self._read_known(given)
        evaluator, effective = self._evaluator(problem.fun, given), self._effective_settings(given)
        many = {"function": "minimize_many", "runs": len(starts), "X0": encoded(starts.ravel())}
        journaled = together(self, problem, evaluator, given, effective, many)
        with showing(parameters), journaled as shared:
            how = given, effective, on_error
            results = minimize_many(self._prepared, shared, problem, starts, *how)
        if parameters is not None:
            parameters.show(results)
        return results
