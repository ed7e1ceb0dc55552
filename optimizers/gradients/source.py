"""Gradient sources: how a gradient is computed from values of the objective.

A source expands a point into probes, which travel in one wave with the point itself, and folds
their values back. It calls no function and has no state of a run.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers._types import Array
from optimizers.gradients.plan import Plan

#: The machine's precision.
EPS = float(np.finfo(np.float64).eps)

#: Returns the run's random number generator, which is made on first use.
Rng: TypeAlias = Callable[[], np.random.Generator]

#: A search for the source to use; see :meth:`GradientSource.learning`.
Learning: TypeAlias = Generator[Array, tuple[Array, Array | None], "GradientSource"]


class GradientSource(ABC):
    """How a gradient is computed from values; a possible value of ``jac=``.

    Your own subclass works with every optimizer that uses a gradient. Make it a frozen dataclass
    with ``eq=False``: a journal then compares its fields to decide whether a run is the same.

    See Also
    --------
    Differences, ParameterShift, SPSAGradient : The sources of this package.

    Examples
    --------
    The derivative along each variable from one probe at a fixed distance:

    >>> from dataclasses import dataclass
    >>> from optimizers import LBFGSB, GradientSource
    >>> from optimizers.flow import Plan
    >>> @dataclass(frozen=True, eq=False)
    ... class Ahead(GradientSource):
    ...     step: float = 1e-7
    ...
    ...     def plan(self, x, lower=None, upper=None, precision=2e-16, rng=None):
    ...         def fold(f0, values):
    ...             return (values - f0) / self.step
    ...
    ...         noise = np.full(x.size, 2**0.5 / self.step)
    ...         return Plan(x + self.step * np.eye(x.size), fold, lambda: noise)
    ...
    ...     def relative_error(self, precision=2e-16):
    ...         return self.step
    >>> LBFGSB().minimize(lambda x: x @ x, [1.0, 2.0], jac=Ahead()).x.round(4) + 0.0
    array([0., 0.])
    """

    #: Whether the gradient at a point is random; random numbers come from the run.
    is_random: ClassVar[bool] = False
    #: Whether it treats variables as angles: they are not scaled.
    takes_angles: ClassVar[bool] = False
    #: Whether :meth:`plan` depends on the precision of the values.
    heeds_precision: ClassVar[bool] = True

    @abstractmethod
    def plan(
        self,
        x: Array,
        lower: Array | None = None,
        upper: Array | None = None,
        precision: float = EPS,
        rng: Rng | None = None,
    ) -> Plan:
        """Return the probes for the gradient at ``x`` and how to fold their values.

        Parameters
        ----------
        x : ndarray of float64, shape (n,)
            The point, inside the bounds.
        lower, upper : ndarray of float64, shape (n,), optional
            The bounds; infinite where there is none. No probe may be outside.
        precision : float, optional
            The relative precision of the objective's values.
        rng : callable, optional
            ``rng()`` returns the run's numpy Generator; a source without random numbers ignores it.

        Returns
        -------
        Plan
            A variable whose bounds are equal gets no probe and a zero in the gradient.

        Raises
        ------
        InvalidInputError
            If the source does not suit the number of variables; see :meth:`check`.
        """

    def first_plan(
        self,
        x: Array,
        lower: Array | None = None,
        upper: Array | None = None,
        precision: float = EPS,
        rng: Rng | None = None,
    ) -> Plan:
        """Return the plan of the first gradient of a run, which may check what the source assumes.

        By default it is :meth:`plan`.
        """
        return self.plan(x, lower, upper, precision, rng)

    def learning(
        self,
        x: Array,
        lower: Array,
        upper: Array,
        noise: float | None,
        named: Callable[[NDArray[np.intp]], str],
    ) -> Learning | None:
        """Return what finds, at the start of a run, the source to use; None to use this one.

        It yields points, is sent their values and standard errors, and returns the source. An
        error about variables shows them as ``named`` does.
        """
        return None

    @abstractmethod
    def relative_error(self, precision: float = EPS) -> float:
        """Return the approximate error of the gradient, for a function with derivatives near 1.

        Parameters
        ----------
        precision : float, optional
            The precision of the objective's values: the machine's, or their noise.

        Returns
        -------
        float
            The largest of the errors from truncation, rounding and randomness.
        """

    def check(self, n: int) -> None:  # noqa: B027  # most sources suit any number
        """Check that the source suits a problem of ``n`` variables, before anything is evaluated.

        Raises
        ------
        InvalidInputError
            If it does not.
        """

    @override
    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, others = vars(self), vars(other)
        return mine.keys() == others.keys() and all(_same(mine[k], others[k]) for k in mine)

    __hash__ = None  # type: ignore[assignment]  # its numbers may be in arrays


#: A gradient: a callable, a source, the name of a scheme, True, or None for the default.
Jacobian: TypeAlias = (
    Callable[..., Any] | GradientSource | Literal["2-point", "3-point", "cs"] | bool | None
)


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(np.array_equal(one, other))
    except ValueError:  # sequences of unequal lengths
        return bool(one == other)
