"""ExternalOptimizerInterface: the base class for minimizing a framework's loss."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers.errors import InvalidInputError, InvalidValueError, warn_user
from optimizers.external.backend import Backend
from optimizers.external.bounds import Matched, pack_bounds
from optimizers.external.frameworks import as_list, as_variables, backend_for
from optimizers.options.settings import RUN_SETTINGS
from optimizers.result import OptimizerResult


class CallbackStop(StopIteration):
    """A ``loss_callback`` asked to stop; ``answer`` is what the call would have returned."""

    def __init__(self, answer: tuple[Any, NDArray[Any]]) -> None:
        super().__init__("loss_callback asked to stop")
        self.answer = answer


class LossGradient:
    """The loss and its gradient at a packed vector; may store the point of the lowest loss."""

    def __init__(
        self, backend: Backend, callback: Callable[..., Any] | None, keeps_best: bool
    ) -> None:
        self._backend = backend
        self._callback = callback
        self._keeps_best = keeps_best
        #: The point of the lowest loss, if stored.
        self.best: NDArray[Any] | None = None
        self._lowest = np.inf
        #: The exact product of the Hessian at ``x`` and ``p``, ``hessp(x, p)``, or None. For
        #: constraint ``i`` with values weighted by ``v`` it is ``hessp(x, p, (i, v))``.
        self.hessp = backend.hessp if backend.has_hessp else None

    def __call__(self, x: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
        """Return both; raise CallbackStop if ``loss_callback`` raised StopIteration."""
        loss, gradient, *fetched = self._backend.loss_grad(x)
        if self._keeps_best and loss < self._lowest:
            self._lowest, self.best = loss, np.array(x)
        if self._callback is not None:
            try:
                self._callback(*fetched)
            except StopIteration:
                raise CallbackStop((loss, gradient)) from None
        return loss, gradient

    @property
    def is_unconnected(self) -> bool:
        """Whether the loss is known to have no gradient."""
        return self._backend.is_unconnected

    def show(self, xk: NDArray[Any]) -> None:
        """Set the variables to an iterate, instead of the last probe, for a callback."""
        if not self._backend.keeps_values:
            self._backend.commit(xk)


def entries(
    function: Callable[[NDArray[Any]], list[NDArray[Any]]], count: int
) -> list[Callable[..., NDArray[Any]]]:
    """Return a function's entries as functions; it is called once for all of them."""
    known: NDArray[Any] | None = None
    answer: list[NDArray[Any]] = []

    def entry(x: NDArray[Any], i: int) -> NDArray[Any]:
        nonlocal known, answer
        if known is None or not np.array_equal(known, x):
            known = None  # nothing is known if this fails
            answer = function(x)
            known = np.array(x)
        return answer[i].copy()

    return [partial(entry, i=i) for i in range(count)]


def no_step(xk: NDArray[Any], *state: Any) -> None:
    """Do nothing: the default ``step_callback``."""


def step_function(
    callback: Callable[..., Any] | None, show: Callable[[NDArray[Any]], None]
) -> Callable[..., Any]:
    """Return a ``step_callback`` that accepts the arguments of any SciPy method."""
    if callback is None:
        return no_step

    def step(xk: NDArray[Any], *state: Any) -> Any:
        show(np.array(xk))
        return callback(np.array(xk))

    return step


_CONSTRUCTORS = {
    *("optimizer", "method", "tol", "hess", "hessp", "bounds", "var_to_bounds"),
    *("equalities", "inequalities", "constraints"),
}


class ExternalOptimizerInterface:
    """Base class for interfaces to algorithms outside of a framework; implement _minimize.

    To minimize, use :class:`ScipyOptimizerInterface` or :class:`OptimizerInterface`.

    Parameters
    ----------
    loss : tensor or callable
        What to minimize: a scalar tensor of TensorFlow's graph mode, or a function without
        arguments that reads the variables and returns a scalar.
    var_list : list of variables, optional
        The variables; by default TensorFlow's trainable variables: in graph mode those of the
        graph's collection, otherwise those that the loss reads.
    equalities, inequalities : list of tensors or callables, optional
        Expressions that must be zero, and ones that must not be negative; each a scalar or an
        array.
    var_to_bounds : dict or sequence of pairs, optional
        From a variable (or ``variable.ref()``) to ``(low, high)``; a list of such pairs if it
        cannot be a key. Either side is a number or an array that broadcasts to the variable's
        shape; None or an infinity for no bound.
    **optimizer_kwargs
        Further arguments, for :meth:`_minimize`; they are copied.

    Attributes
    ----------
    optimizer_kwargs : dict
        The copy.
    result_ : OptimizerResult or None
        The result of the last :meth:`minimize`, if the algorithm returns one.

    Raises
    ------
    InvalidInputError, MissingExtraError
        If an argument cannot be used, or the framework is not installed.

    Examples
    --------
    Ten steps downhill on NumPy arrays:

    >>> class Descent(ExternalOptimizerInterface):
    ...     def _minimize(self, initial_val, loss_grad_func, optimizer_kwargs, **kwargs):
    ...         x = initial_val
    ...         for _ in range(10):
    ...             loss, gradient = loss_grad_func(x)
    ...             x = x - optimizer_kwargs["rate"] * gradient
    ...         return x
    >>> w = np.array([3.0, 4.0])
    >>> Descent(lambda: (w @ w, [2 * w]), [w], rate=0.4).minimize()
    >>> w
    array([3.072e-07, 4.096e-07])
    """

    # Whether the solver stores its best point, or the base class has to, for interrupted runs.
    _keeps_best = False

    def __init__(
        self,
        loss: Any,
        var_list: Sequence[Any] | None = None,
        equalities: Sequence[Any] | None = None,
        inequalities: Sequence[Any] | None = None,
        var_to_bounds: Any = None,
        **optimizer_kwargs: Any,
    ) -> None:
        self.optimizer_kwargs = _copied(optimizer_kwargs)
        self.result_: OptimizerResult | None = None
        self._equalities = as_list(equalities)
        self._inequalities = as_list(inequalities)
        variables = None if var_list is None else as_variables(var_list)
        constraints = [*self._equalities, *self._inequalities]
        self._backend = backend_for(loss, variables, constraints, self._uses_hessp())
        matched: Matched = [None] * len(self._backend.variables)
        if var_to_bounds is not None:
            matched = self._backend.match(var_to_bounds)
            self._backend.limits = pack_bounds(self._backend.packing, matched)
        for i, restriction in self._backend.ignored.items():
            if matched[i] is None:
                warn_user(
                    f"{restriction}, which is not applied here: pass its bounds in var_to_bounds, "
                    "or equivalent inequalities and equalities."
                )
        self._check()

    def _check(self) -> None:
        """Raise an error for arguments that the algorithm does not support; by default none."""

    def _packed_bounds(self) -> Any:
        """Return the bounds as :meth:`_minimize` gets them."""
        if self._backend.limits is None:
            return None
        lower, upper = self._backend.limits
        return list(zip(lower.tolist(), upper.tolist(), strict=True))

    def _uses_hessp(self) -> bool:
        """Return whether :meth:`_minimize` calls ``loss_grad_func.hessp``, so that it is built."""
        return False

    def minimize(
        self,
        session: Any = None,
        feed_dict: Mapping[Any, Any] | None = None,
        fetches: Sequence[Any] | None = None,
        step_callback: Callable[..., Any] | None = None,
        loss_callback: Callable[..., Any] | None = None,
        **run_kwargs: Any,
    ) -> None:
        """Minimize the loss; the variables are updated in place at the end.

        After an exception they are restored. During the run, except in TensorFlow's graph mode,
        they hold the points being evaluated.

        Parameters
        ----------
        session : tf.compat.v1.Session, optional
            The session in graph mode; the default session if not given.
        feed_dict : dict, optional
            Fed to every evaluation, in graph mode.
        fetches : list, optional
            The arguments of ``loss_callback``: tensors in graph mode, otherwise functions or
            variables.
        step_callback : callable, optional
            ``step_callback(xk)``, called at each step with the flat vector of the variables, which
            then hold it, except in graph mode.
        loss_callback : callable, optional
            ``loss_callback(*fetched)``, called after each evaluation of the loss and its gradient.
            StopIteration in either ends the run, and the best point so far is written.
        **run_kwargs
            For the ``session.run`` that writes the result, in graph mode.

        Raises
        ------
        InvalidInputError
            If an argument belongs to the constructor, such as ``timeout`` and other settings.
        """
        _refuse_misplaced(run_kwargs)
        backend = self._backend.bind(session, feed_dict, as_list(fetches), run_kwargs)
        initial = backend.initial()
        loss_grad = LossGradient(backend, loss_callback, keeps_best=not self._keeps_best)
        m, count = len(self._equalities), len(self._equalities) + len(self._inequalities)
        values = entries(backend.constraint_values, count)
        jacobians = entries(backend.constraint_jacobians, count)
        self.result_ = None
        try:
            try:
                x = self._minimize(
                    initial_val=initial.copy(),
                    loss_grad_func=loss_grad,
                    equality_funcs=values[:m],
                    equality_grad_funcs=jacobians[:m],
                    inequality_funcs=values[m:],
                    inequality_grad_funcs=jacobians[m:],
                    packed_bounds=self._packed_bounds(),
                    step_callback=step_function(step_callback, loss_grad.show),
                    optimizer_kwargs=_copied(self.optimizer_kwargs),
                )
            except StopIteration:  # from a callback, through a solver that does not catch it
                x = initial if loss_grad.best is None else loss_grad.best
            x = _checked(x, initial.size)
            if not (self._keeps_best or backend.keeps_values or np.isfinite(x).all()):
                warn_user(
                    "_minimize returned numbers that are not finite: the variables were set to "
                    "the best evaluated point, or restored if there is none."
                )
                x = initial if loss_grad.best is None else loss_grad.best
            backend.commit(x)
        except BaseException:
            backend.rollback(initial)
            raise

    def _minimize(
        self,
        initial_val: NDArray[Any],
        loss_grad_func: Callable[..., Any],
        equality_funcs: list[Callable[..., Any]],
        equality_grad_funcs: list[Callable[..., Any]],
        inequality_funcs: list[Callable[..., Any]],
        inequality_grad_funcs: list[Callable[..., Any]],
        packed_bounds: list[tuple[float, float]] | None,
        step_callback: Callable[..., Any],
        optimizer_kwargs: dict[str, Any],
    ) -> NDArray[Any]:
        """Run an algorithm; a subclass implements this method, which is called with these keywords.

        Parameters
        ----------
        initial_val : ndarray of shape (n,)
            The start, in the variables' type; float64 if they have several.
        loss_grad_func : callable
            ``loss_grad_func(x) -> (loss, gradient)``.
        equality_funcs, equality_grad_funcs, inequality_funcs, inequality_grad_funcs : list
            ``function(x) -> (m,)`` and ``jacobian(x) -> (m, n)`` of each constraint.
        packed_bounds : list of (low, high), or None
            One pair for each element of ``x``, infinite where there is no bound.
        step_callback : callable
            ``step_callback(xk)``, to be called at each step.
        optimizer_kwargs : dict
            The further arguments of the constructor.

        Returns
        -------
        ndarray of shape (n,)
            The final values of the variables.
        """
        raise NotImplementedError(
            "To use ExternalOptimizerInterface, subclass it and implement _minimize; or use "
            "ScipyOptimizerInterface or OptimizerInterface."
        )


def _refuse_misplaced(run_kwargs: Mapping[str, Any]) -> None:
    """Raise an InvalidInputError for arguments that belong to the constructor."""
    for name in run_kwargs:
        if name in RUN_SETTINGS or name in _CONSTRUCTORS:
            kind = "a setting of the run" if name in RUN_SETTINGS else "the interface's own"
            instead = "; or pass step_callback here" if name == "callback" else ""
            raise InvalidInputError(
                f"{name} is {kind}: pass it to the interface's constructor{instead}."
            )


def _copied(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of keyword arguments, including nested dicts of options."""
    return {
        name: dict(value) if isinstance(value, dict) else value for name, value in kwargs.items()
    }


def _checked(x: Any, n: int) -> NDArray[Any]:
    """Return a solver's final point, if it can be written to the variables."""
    found = np.asarray(x)
    if found.shape != (n,) or found.dtype.kind not in "biuf":
        raise InvalidValueError(
            f"_minimize returned {x!r:.200}, expected a vector of {n} numbers: nothing was written."
        )
    return found
