"""A user's functions of structures, as functions of the searched vector."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.sparse import issparse

from optimizers._types import ConstraintsLike
from optimizers.errors import CapabilityError
from optimizers.evaluation.answers import unpack
from optimizers.evaluation.marks import marked_like
from optimizers.gradients.pennylane import trainable
from optimizers.problem.leaf import as_array
from optimizers.problem.parameters import Parameters
from optimizers.result import OptimizerResult

T = TypeVar("T")
#: Converts what a function returned at a point.
Fold = Callable[[NDArray[Any], Any], Any]


class Translated:
    """A user's function, called with structures; an object, so that it pickles."""

    def __init__(
        self, function: Callable[..., Any], parameters: Parameters, fold: Fold | None = None
    ) -> None:
        self._call, self._point, self._fold = trainable(function), parameters.quickest, fold
        self.__wrapped__ = function
        marked_like(self, function)

    def __call__(self, z: NDArray[Any], *more: Any) -> Any:
        """Return what the function returns at a point, in terms of the vector."""
        raw = self._call(self._point(z), *more)
        if type(raw) is float:
            return raw if self._fold is None else self._fold(z, raw)
        if self._fold is None or raw is None:
            return as_array(raw)
        return self._later(z, raw) if hasattr(raw, "__await__") else self._fold(z, raw)

    async def _later(self, z: NDArray[Any], raw: Any) -> Any:
        assert self._fold is not None
        return self._fold(z, await raw)


class Products:
    """A user's function of points only, such as ``hessp(x, p)`` or the fidelity of two points."""

    def __init__(
        self, function: Callable[..., Any], parameters: Parameters, *, is_hessian: bool = False
    ) -> None:
        self._call, self._parameters, self._is_hessian = function, parameters, is_hessian
        self.__wrapped__ = function
        marked_like(self, function)

    def __call__(self, z: NDArray[Any], other: NDArray[Any]) -> Any:
        """Return what the function returns for two points, or for a point and a direction."""
        parameters = self._parameters
        if not self._is_hessian:
            return self._call(parameters.point(z), parameters.point(other))
        raw = self._call(parameters.point(z), parameters.direction(z, other))
        return None if raw is None else parameters.gradient(z, raw, "hessp")


class _Both:
    """What an objective with ``jac=True`` returned; an object, so that it pickles."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def __call__(self, z: NDArray[Any], raw: Any) -> tuple[Any, Any]:
        value, gradient = unpack(raw)
        return as_array(value), self._parameters.gradient(z, gradient)


def translated(
    parameters: Parameters,
    fun: Any,
    jac: Any = None,
    *,
    constraints: ConstraintsLike = (),
    hess: Any = None,
    hessp: Any = None,
) -> dict[str, Any]:
    """Return the arguments of a minimization in a structure as those for its vector."""
    p = parameters
    for what, given in (("hess", hess), ("hessp", hessp)):
        if callable(given):
            p.check_curvature(what)
    is_one = not isinstance(constraints, Sequence)
    found = [_constraint(p, one) for one in ((constraints,) if is_one else constraints)]
    return {
        "fun": Translated(fun, p, _Both(p) if jac is True else None) if callable(fun) else fun,
        "x0": p.x0,
        "jac": Translated(jac, p, p.gradient) if _is_function(jac) else jac,
        "bounds": p.bounds,
        "constraints": found[0] if is_one else found,
        "hess": Translated(hess, p, p.hessian) if _is_function(hess) else hess,
        "hessp": Products(hessp, p, is_hessian=True) if callable(hessp) else hessp,
    }


def _is_function(given: Any) -> bool:
    """Return whether something is a function, not a class or an object of SciPy or this package."""
    return callable(given) and not isinstance(given, type)


def _constraint(p: Parameters, given: Any) -> Any:
    """Return a constraint on the searched vector; anything else is rejected later."""
    if isinstance(given, LinearConstraint):
        matrix = given.A if issparse(given.A) else np.atleast_2d(np.asarray(given.A))
        if matrix.shape[-1:] != (p.structure.size,):
            return given
        if p.is_transformed:
            raise CapabilityError(
                "A LinearConstraint is given, but it is not linear under the transforms of x0: "
                "write it as a NonlinearConstraint."
            )
        moved = matrix @ p.base
        return LinearConstraint(
            p.gradient(p.x0, matrix, "A"), given.lb - moved, given.ub - moved, given.keep_feasible
        )
    if isinstance(given, NonlinearConstraint):
        if callable(given.hess):
            p.check_curvature("hess of a constraint")
        return NonlinearConstraint(
            Translated(given.fun, p) if callable(given.fun) else given.fun,
            given.lb,
            given.ub,
            jac=Translated(given.jac, p, p.gradient) if callable(given.jac) else given.jac,
            hess=Translated(given.hess, p, p.hessian) if _is_function(given.hess) else given.hess,
            keep_feasible=given.keep_feasible,
            finite_diff_rel_step=given.finite_diff_rel_step,
            finite_diff_jac_sparsity=given.finite_diff_jac_sparsity if p.is_all else None,
        )
    if isinstance(given, dict):
        own = {"fun": Translated(given["fun"], p)} if callable(given.get("fun")) else {}
        if callable(given.get("jac")):
            own["jac"] = Translated(given["jac"], p, p.gradient)
        return {**given, **own}
    return given


class Shown:
    """An observer that sees the user's structure."""

    def __init__(self, observe: Any, parameters: Parameters) -> None:
        self._observe, self._parameters = observe, parameters
        self.wants_value = getattr(observe, "wants_value", False)
        on_run_end, listen = (getattr(observe, n, None) for n in ("on_run_end", "on_evaluation"))
        if on_run_end is not None:
            self.on_run_end = lambda result: self._end(on_run_end, result)
        if listen is not None:
            self.on_evaluation = lambda told: listen(told._replace(x=parameters.free(told.x)))

    def _end(self, on_run_end: Callable[[OptimizerResult], Any], result: OptimizerResult) -> None:
        found = self._parameters.result(result)
        on_run_end(found)
        result._keep(record=found._record)  # where the callback is a history

    def __call__(self, state: OptimizerResult) -> bool:
        """Show the state of an iteration."""
        stop: bool = self._observe(self._parameters.result(state))
        return stop


@contextlib.contextmanager
def showing(parameters: Parameters | None) -> Iterator[None]:
    """Convert the results that an error carries to the user's structure."""
    try:
        yield
    except BaseException as error:
        try:
            for name in ("optimizer_result", "optimizer_results"):
                if parameters is not None:
                    parameters.show(getattr(error, name, None))
        except (
            Exception
        ) as second:  # such as a dataclass that rejects values: it must not hide the error
            error.add_note(
                f"The result so far has vectors, since building their structure failed: {second!r}."
            )
        raise


def shown(parameters: Parameters | None, call: Callable[[], T]) -> T:
    """Return results, or raise an error that carries some, in the user's structure."""
    with showing(parameters):
        results = call()
    if parameters is not None:
        parameters.show(results)
    return results
