"""Qiskit's stateful interface: an optimizer that is started and then advances step by step."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._types import ArrayLike, BoundsLike, Objective
from optimizers.asktell.messages import AskData, TellData
from optimizers.asktell.stepper import OptimizerState, Stepper
from optimizers.errors import InvalidInputError, StepperError
from optimizers.evaluation.answers import as_gradient, unpack
from optimizers.evaluation.evaluator import Evaluator, told_at
from optimizers.evaluation.marks import loss_of, with_own_loss
from optimizers.gradients.source import Jacobian
from optimizers.optimizer import Optimizer
from optimizers.problem.translated import translated
from optimizers.result import OptimizerResult
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import Prepared
from optimizers.support import SupportLevel, SupportLevels


class SteppableOptimizer(Optimizer):
    """Any optimizer, with the interface of Qiskit's SteppableOptimizer.

    Unlike other optimizers it holds the state of a run: one object serves one run at a time.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer. Setting an option here sets it there.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> steppable = SteppableOptimizer(LBFGSB())
    >>> steppable.start(lambda x: (x[0] - 1) ** 2, [3.0])
    >>> while steppable.continue_condition():
    ...     steppable.step()
    >>> steppable.create_result().x.round(4)
    array([1.])
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise InvalidInputError(f"optimizer is {optimizer!r}, expected an Optimizer.")
        super().__init__()
        self._optimizer = optimizer
        self._held: Stepper | None = None
        self._fun: Callable[..., Any] | None = None
        self._jac: Jacobian = None

    @override
    def get_support_level(self) -> SupportLevels:
        return self._optimizer.get_support_level()

    @property
    @override
    def settings(self) -> dict[str, Any]:
        return {"optimizer": self._optimizer}

    @override
    def set_options(self, **kwargs: Any) -> None:
        self._optimizer.set_options(**kwargs)

    @override
    def set_max_evals_grouped(self, limit: int | None) -> None:
        self._optimizer.set_max_evals_grouped(limit)

    @override
    def _prepared(self, *args: Any, **kwargs: Any) -> Prepared:
        return self._optimizer._prepared(*args, **kwargs)

    @override
    def _effective_settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return self._optimizer._effective_settings(settings)

    @override
    def _evaluator(self, *args: Any) -> Evaluator:
        return self._optimizer._evaluator(*args)

    @override
    def _solve(self, run: Run) -> Outcome:
        return self._optimizer._solve(run)

    @override
    def minimize(self, *args: Any, **kwargs: Any) -> OptimizerResult:
        return self._optimizer.minimize(*args, **kwargs)

    @override
    def stepper(self, *args: Any, **kwargs: Any) -> Stepper:
        return self._optimizer.stepper(*args, **kwargs)

    def start(
        self, fun: Objective, x0: ArrayLike, jac: Jacobian = None, bounds: BoundsLike = None
    ) -> None:
        """Start a run; a run in progress is closed.

        Parameters
        ----------
        fun, x0, jac, bounds
            As in :meth:`Optimizer.minimize`.

        Raises
        ------
        InvalidInputError, CapabilityError, OptionError
            If an argument cannot be used.
        """
        Evaluator(fun)  # raises an error if fun cannot be called
        fun = with_own_loss(fun, is_required=self._level("residuals") == SupportLevel.required)
        loss, given = loss_of(fun), dict[str, Any]()
        if loss is not None:
            given = {"residuals": True, "loss": loss.rho, "f_scale": loss.f_scale}
        held = self.stepper(x0, True if callable(jac) else jac, bounds, **given)
        if self._held is not None:
            self._held.close()
        self._held, self._fun, self._jac = held, fun, jac

    @property
    def _stepper(self) -> Stepper:
        if self._held is None:
            raise StepperError("No run is in progress: call start(fun, x0, jac, bounds) first.")
        return self._held

    @property
    def state(self) -> OptimizerState:
        """The state of the run; ``fun`` and ``jac`` are the functions, as in Qiskit."""
        jac: Any = self._jac if callable(self._jac) else None
        return replace(self._stepper.state, fun=self._fun, jac=jac)

    def ask(self) -> AskData:
        """Return the next question; a single point has shape (n,), as in Qiskit."""
        ask = self._stepper.ask()
        if ask.x_fun is None or len(ask.x_fun) > 1 or isinstance(ask.x_fun, list):
            return ask
        return replace(ask, x_fun=ask.x_fun[0], x_jac=None if ask.x_jac is None else ask.x_jac[0])

    def evaluate(self, ask_data: AskData) -> TellData:
        """Return the values and gradients that are asked for.

        Parameters
        ----------
        ask_data : AskData
            What :meth:`ask` returned.
        """
        assert self._fun is not None
        fun, given, parameters = self._fun, ask_data.x_fun, self._stepper.parameters
        if parameters is None:
            points = np.atleast_2d(np.asarray(given))
        elif ask_data.x_jac is not None:
            points = given
        else:
            points = np.array([parameters.vector(point) for point in given])
            fun = translated(parameters, fun)["fun"]
        if ask_data.x_jac is None:
            group, form = self._optimizer._max_evals_grouped, self._optimizer._group_form
            evaluator = Evaluator(fun, group, group_form=form)
            values = told_at(evaluator, points)
            # Values of low precision are marked as such: the steps of differences depend on it.
            is_coarse = evaluator.facts.precision >= np.finfo(np.float32).eps
            return TellData(values.astype(np.float32) if is_coarse else values)
        both = [self._both(point) for point in points]
        return TellData([value for value, _ in both], [gradient for _, gradient in both])

    def _both(self, x: Any) -> tuple[Any, Any]:
        assert self._fun is not None
        first, second = copy.deepcopy(x), copy.deepcopy(x)
        value, gradient = (
            (self._fun(first), self._jac(second))
            if callable(self._jac)
            else unpack(self._fun(first))
        )
        if loss_of(self._fun) is not None or self._stepper.parameters is not None:
            return value, gradient
        return value, as_gradient(gradient, x.size, finite=False)

    def tell(self, ask_data: AskData, tell_data: TellData) -> None:
        """Answer a question; see :meth:`Stepper.tell`."""
        self._stepper.tell(ask_data, tell_data)

    def step(self) -> None:
        """Ask, evaluate and tell."""
        ask_data = self.ask()
        self.tell(ask_data=ask_data, tell_data=self.evaluate(ask_data))

    def continue_condition(self) -> bool:
        """Return whether there is anything to ask."""
        return not self._stepper.done

    def create_result(self) -> OptimizerResult:
        """Return the result, or the result so far; see :class:`Stepper`."""
        return self._stepper.result() if self._stepper.done else self._stepper.so_far()
