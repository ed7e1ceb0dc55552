"""Difference schemes: a gradient becomes points, and their values become the gradient.

Pure functions of arrays: nothing here calls the objective. The probes lie inside the bounds:
a step that would leave them changes its side, or shrinks when neither side has room.

References
----------
.. [1] W. H. Press et al., "Numerical Recipes", section 5.7: step sizes of the order of the
   square root (one-sided) or cube root (central) of the precision.
.. [2] W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real
   functions", SIAM Review 40 (1998) 110-112.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from optimizers._arrays import as_numbers
from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.gradients.plan import Plan
from optimizers.gradients.source import EPS, GradientSource, Rng
from optimizers.gradients.stencils import central, complex_step, one_sided, richardson

Scheme = Literal["2-point", "3-point", "cs"]
SCHEMES: tuple[Scheme, ...] = ("2-point", "3-point", "cs")

_TINY = float(np.finfo(np.float64).tiny)
#: The order of each scheme's truncation error in the step. The complex step, which has no rounding
#: error to balance, uses the square root of the precision.
_ORDER = {"2-point": 1, "3-point": 2, "richardson": 4, "cs": 1}


@dataclass(frozen=True, eq=False)
class Differences(GradientSource):
    """A difference scheme with its steps, for ``jac=``.

    Parameters
    ----------
    scheme : {"2-point", "3-point", "cs"}, default "2-point"
        One-sided, central, or complex-step differences. The complex step needs an objective that
        accepts and returns complex numbers.
    step : float or array_like of shape (n,), optional
        Absolute steps, one for all variables or one for each.
    relative_step : float or array_like of shape (n,), optional
        Steps relative to ``abs(x)``; where ``x`` is zero the default step is used. Without either,
        the step is the square root (cube root for ``"3-point"``, fifth root with ``richardson``) of
        the machine precision times ``max(1, abs(x))``, as in SciPy.
    richardson : bool, default False
        Whether central differences with the steps h and h / 2 are extrapolated to the step 0
        [1]_: twice the probes, and an error of the order of h^4. For ``"3-point"`` only.
    noise : float, optional
        The standard deviation of the noise in the objective's values. It lengthens the steps that
        are not given, so that truncation and noise contribute equally [2]_: to
        ``8**(1/4) * sqrt(noise / curvature)`` for one-sided differences and
        ``(3 * noise / curvature)**(1/3)`` for central ones.
    curvature : float or array_like of shape (n,), optional
        The size of the first neglected derivative along each variable: the second for one-sided
        differences, the third for central ones, the fifth with ``richardson``. By default that of a
        function that changes by about 1 over ``max(1, abs(x))``. It has no effect without
        ``noise``.

    Raises
    ------
    InvalidInputError
        If the scheme is unknown, or a number cannot be used.

    References
    ----------
    .. [1] L. F. Richardson, "The approximate arithmetical solution by finite differences of
       physical problems", Philosophical Transactions of the Royal Society A 210 (1911) 307-357.
    .. [2] J. J. Moré and S. M. Wild, "Estimating derivatives of noisy simulations", ACM
       Transactions on Mathematical Software 38 (2012) 19.

    Examples
    --------
    >>> plan = Differences("3-point").plan(np.array([1.0]))
    >>> plan.points.shape
    (2, 1)
    >>> plan.fold(1.0, (plan.points**2).ravel()).round(9)
    array([2.])

    As a gradient, here with steps for an objective of noise 1e-6:

    >>> from optimizers import LBFGSB
    >>> scheme = Differences("3-point", noise=1e-6)
    >>> LBFGSB().minimize(lambda x: x @ x, [1.0, 2.0], jac=scheme).x.round(6) + 0.0
    array([0., 0.])
    """

    scheme: Scheme = "2-point"
    step: ArrayLike | None = None
    relative_step: ArrayLike | None = None
    richardson: bool = False
    noise: float | None = None
    curvature: ArrayLike | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.scheme, str) and self.scheme in SCHEMES):
            raise InvalidInputError(
                f"jac is {self.scheme!r}, expected a callable, True, a GradientSource such as "
                f"Differences, or one of {SCHEMES}."
            )
        if not isinstance(self.richardson, bool | np.bool_ | int):
            raise InvalidInputError(f"richardson is {self.richardson!r}, expected True or False.")
        if self.richardson and self.scheme != "3-point":
            raise InvalidInputError(
                f"richardson=True was given with the scheme {self.scheme!r}: it extrapolates "
                "central differences, so use Differences('3-point', richardson=True)."
            )
        for name in ("step", "relative_step", "curvature"):
            given = getattr(self, name)
            if given is None:
                continue
            size = np.abs(as_numbers(given))
            if not ((size > 0) & (size < np.inf)).all():
                raise InvalidInputError(
                    f"The difference {name.replace('_', ' ')} is {given!r}, expected finite "
                    "numbers other than zero."
                )
        if self.noise is None:
            return
        noise = as_numbers(self.noise)
        if not (noise.ndim == 0 and 0 < noise < np.inf):
            raise InvalidInputError(
                f"The noise of the differences is {self.noise!r}, expected a standard deviation "
                "> 0."
            )

    @override
    def check(self, n: int) -> None:
        for given in (self.step, self.relative_step, self.curvature):
            if given is not None:
                self._per_variable(given, n)

    @property
    def kind(self) -> str:
        """The scheme's name, or ``"richardson"``."""
        return "richardson" if self.richardson else self.scheme

    @override
    def relative_error(self, precision: float = EPS) -> float:
        """Return the larger of truncation and rounding; see :meth:`GradientSource.relative_error`.

        Examples
        --------
        >>> f"{Differences('2-point').relative_error():.1e}"
        '1.5e-08'
        """
        if self.scheme == "cs":
            return precision
        given = self.step if self.step is not None else self.relative_step
        precision = max(precision, self.noise or 0.0)
        order = _ORDER[self.kind]
        if given is None:
            return float(precision ** (order / (order + 1)))
        h = np.abs(as_numbers(given))
        return float(np.max(np.maximum(h**order, precision / h), initial=precision))

    @override
    def plan(
        self,
        x: Array,
        lower: Array | None = None,
        upper: Array | None = None,
        precision: float = EPS,
        rng: Rng | None = None,
    ) -> Plan:
        """Return at most n probes: "3-point" 2 n, with ``richardson`` 4 n.

        See :meth:`GradientSource.plan`. If ``precision`` is lower than double precision, one-sided
        differences become central, and no step is shorter than its default.
        """
        kind, h = self.steps(x, precision)
        if kind == "cs":
            if lower is not None and upper is not None:
                h = np.where(lower == upper, 0.0, h)
            return complex_step(x, np.abs(h))
        if kind == "2-point":
            return one_sided(x, h, lower, upper)
        build = richardson if kind == "richardson" else central
        return build(x, np.abs(h), lower, upper)

    def steps(self, x: Array, precision: float) -> tuple[str, Array]:
        """Return the kind of differences for values of this precision, and their steps."""
        kind = self.kind
        if precision > EPS and kind == "2-point":
            kind = "3-point"
        return kind, self._steps(x, kind, precision)

    def _steps(self, x: Array, kind: str, precision: float) -> Array:
        power = 1 / (_ORDER[kind] + 1)
        default: Array = np.copysign(precision**power * np.maximum(1.0, np.abs(x)), x)
        if self.step is not None:
            h = self._per_variable(self.step, x.size)
        elif self.relative_step is not None:
            h = self._per_variable(self.relative_step, x.size) * x
        elif self.noise is not None and kind != "cs":
            noise = {"2-point": 8**0.5, "3-point": 3.0, "richardson": 455.0}[kind] * self.noise
            if self.curvature is None:
                h = noise**power * np.maximum(1.0, np.abs(x))
            else:
                h = (noise / np.abs(self._per_variable(self.curvature, x.size))) ** power
            h = np.copysign(np.maximum(h, np.abs(default)), default)
        else:
            h = default
        # A step lost in the rounding of x would cause a division by zero; a subnormal one, a large
        # error.
        lost = np.abs(h) < _TINY
        if kind != "cs":
            lost |= ((x + h) - x == 0) | ((x - h) - x == 0)
            if precision > EPS:
                lost |= np.abs(h) < np.abs(default)
        return np.where(lost, default, h)

    def _per_variable(self, given: ArrayLike, n: int) -> Array:
        steps = np.asarray(given, dtype=np.float64)
        if steps.shape not in ((), (1,), (n,)):
            raise InvalidInputError(
                f"Difference steps have shape {steps.shape}, expected one number or {(n,)}."
            )
        return np.broadcast_to(steps, n)
