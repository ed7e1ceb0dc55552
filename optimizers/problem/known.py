"""Known points: what a user has evaluated already, checked and in the terms of a problem."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from optimizers._arrays import as_real
from optimizers._types import Array
from optimizers.errors import InvalidInputError, InvalidValueError, NonFiniteValueError
from optimizers.evaluation.answers import as_gradient, as_jacobian
from optimizers.evaluation.losses import Loss
from optimizers.problem.bounds import as_bounds
from optimizers.problem.leaf import is_plain
from optimizers.problem.parameters import Parameters
from optimizers.problem.problem import Problem

#: The curvature along a step, relative to step and change, that is told from rounding.
_CURVED = 1e-8
#: How many names a message shows.
_SHOWN = 6
_NUMBERS = "an array of finite real numbers, shape (k,), or (k, m) for residuals"


@dataclass(frozen=True, eq=False)
class Known:
    """Points where the objective was evaluated already, for the setting ``known``.

    Parameters
    ----------
    x : array_like of shape (k, n), or sequence of k structures
        The points, each as the objective gets it.
    fun : array_like of shape (k,), or (k, m) for residuals
        The values there, as the objective returned them. Leave out points where it failed.
    jac : array_like of shape (k, n), or sequence of k gradients, optional
        The gradients; None or NaN for those that are not known. For residuals the Jacobians, each
        of shape (m, n).
    errors : array_like of shape (k,), optional
        The standard errors of the values; NaN for those that are not known.

    Examples
    --------
    >>> from optimizers import LBFGSB, Known
    >>> known = Known([[3.0, 0.0], [1.0, 1.0]], [9.0, 2.0])
    >>> result = LBFGSB().minimize(lambda x: x @ x, None, known=known)
    >>> result.nknown  # the start, which is the best of them
    1
    """

    x: Any
    fun: Any
    jac: Any = None
    errors: Any = None


@dataclass(frozen=True, eq=False)
class KnownRows:
    """Known points as they were given, apart from any problem; checked as far as that goes."""

    x: Sequence[Any]
    #: In the user's sign, shape (k,), or residuals, shape (k, m).
    fun: Array
    jac: Sequence[Any]
    errors: Array
    #: The points are what the objective gets, its free variables, or the searched ones.
    terms: Literal["user", "free", "searched"] = "user"
    #: The names of the searched variables.
    names: Sequence[str] | None = None
    precision: float = 0.0

    @classmethod
    def of(cls, x: Any, fun: Any, jac: Any = None, errors: Any = None) -> "KnownRows":
        """Check what a user gives."""
        if not isinstance(x, list | tuple):
            x = as_real("x of known", x, "an array of points, shape (k, n), or a list of points")
        if np.ndim(x) == 0 and not isinstance(x, list | tuple):
            raise InvalidInputError("x of known is a number, expected a sequence of points.")
        raw = as_real("fun of known", fun, _NUMBERS)
        values = np.array(raw, dtype=np.float64)
        if values.ndim not in (1, 2) or len(values) != len(x):
            raise InvalidInputError(
                f"fun of known has shape {values.shape}, expected {_NUMBERS}, with k = {len(x)}."
            )
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            raise InvalidInputError(
                f"fun of known has {values[tuple(bad[0])]} at point {bad[0][0]}, expected finite "
                "numbers: leave out points where the objective failed."
            )
        spread = np.full(len(x), np.nan)
        if errors is not None:
            spread = np.array(as_real("errors of known", errors, "numbers"), dtype=np.float64)
        if spread.shape != (len(x),) or (spread < 0).any() or np.isinf(spread).any():
            raise InvalidInputError(
                f"errors of known is {errors!r:.200}, expected {len(x)} finite numbers >= 0, one "
                "for each point; NaN where it is not known."
            )
        jac = [None] * len(x) if jac is None else jac
        if not hasattr(jac, "__len__") or len(jac) != len(x):
            raise InvalidInputError(
                f"jac of known is {jac!r:.200}, expected {len(x)} gradients, one for each point; "
                "None where it is not known."
            )
        is_single = raw.dtype.kind == "f" and raw.dtype.itemsize < values.itemsize
        precision = float(np.finfo(raw.dtype).eps) if is_single else 0.0
        return cls(deepcopy(x), values, deepcopy([*jac]), spread, precision=precision)

    def start(self, bounds: Any, *, maximize: bool) -> Any:
        """Return the best of the points, inside the bounds if these are of a vector."""
        if self.names is not None or not len(self.x):
            what = "no points" if not len(self.x) else "points of named or scaled variables"
            raise InvalidInputError(
                f"x0 is None, and known has {what}: pass x0, which tells what the variables are."
            )
        values = self.fun if self.fun.ndim == 1 else np.sum(self.fun**2, axis=1)
        order = np.argsort(-values if maximize else values, kind="stable")
        best = self.x[order[0]]
        lower, upper = as_bounds(bounds, np.size(best)) if is_plain(best) else (None, None)
        if lower is None or upper is None:
            return deepcopy(best)
        inside = (self.x[i] for i in order if _is_inside(np.asarray(self.x[i]), lower, upper))
        return deepcopy(next(inside, best))


@dataclass(frozen=True, eq=False)
class KnownPoints:
    """Known points inside the bounds, as an algorithm sees them: in the run's sign and units."""

    #: Shape (k, n).
    x: Array
    #: Shape (k,).
    fun: Array
    #: The gradients, shape (k, n); NaN where they are not known.
    jac: Array
    #: The standard errors of the values, shape (k,); NaN where they are not known.
    errors: Array
    #: Shape (k, m); None if the objective returns no residuals.
    residuals: Array | None = None
    #: The Jacobians of the residuals, by row, where they are known.
    jacobians: Mapping[int, Any] = field(default_factory=dict)
    #: The machine epsilon of the values, if larger than usual.
    precision: float = 0.0

    @classmethod
    def none(cls, n: int) -> "KnownPoints":
        """Return none."""
        return cls(np.empty((0, n)), np.empty(0), np.empty((0, n)), np.empty(0))

    def __len__(self) -> int:
        return len(self.fun)

    @property
    def lowest(self) -> Array:
        """The point with the lowest value, shape (1, n), or (0, n) if there is none."""
        return self.x[self.fun.argmin() :][:1] if len(self) else self.x

    @property
    def has_jac(self) -> NDArray[np.bool_]:
        """Where the gradient is known, shape (k,)."""
        return np.array(np.isfinite(self.jac).all(axis=1), dtype=np.bool_)

    def is_best(self, x: Array) -> bool:
        """Return whether ``x`` is a known point with the lowest value."""
        best = self.x[self.fun == self.fun.min(initial=np.inf)]
        return bool((best == x).all(axis=1).any())

    def error_at(self, x: Array) -> float | None:
        """Return the standard error of a value at ``x``, if that is the best point; None if not."""
        told = self.errors[(self.x == x).all(axis=1) & (self.errors > 0)]
        return float(np.sqrt(np.mean(told**2))) if told.size and self.is_best(x) else None

    def pairs(self, x: Array, jac: Array, most: int) -> list[tuple[Array, Array]]:
        """Return steps and changes of the gradient between the best points, the last ends at ``x``.

        There are none unless ``x``, with the gradient ``jac``, is the best point itself: a run
        that starts elsewhere may repeat an earlier one, whose path it is to follow.
        """
        found = list[tuple[Array, Array]]()
        for i in np.argsort(self.fun, kind="stable") if self.is_best(x) else ():
            step, change = x - self.x[i], jac - self.jac[i]
            size = float(np.linalg.norm(step) * np.linalg.norm(change))
            if len(found) < most and step @ change > _CURVED * size:  # not where jac is NaN
                found.append((step, change))
                x, jac = self.x[i], self.jac[i]
        return found[::-1]

    @property
    def identity(self) -> dict[str, Any]:
        """What the header of a journal says of them: a run follows another path with others."""
        parts = (self.x, self.fun, self.jac, self.errors, self.residuals)
        told = b"".join(part.tobytes() for part in parts if part is not None)
        return {"object": "Known", "points": len(self), "sha256": sha256(told).hexdigest()}


def points_of(rows: KnownRows | KnownPoints, problem: Problem) -> KnownPoints:
    """Return known points in the terms of a problem, if they are not in them already.

    Raise an InvalidInputError if they belong to another problem.
    """
    if isinstance(rows, KnownPoints):
        return rows
    n, loss, sign = problem.n, problem.loss, problem.sign
    if (loss is None) != (rows.fun.ndim == 1) and len(rows.x):
        has, wants = ("values", "residuals") if loss is not None else ("residuals", "a value")
        raise InvalidInputError(
            f"known has {has}, but the objective returns {wants}: give what it returns."
        )
    if rows.terms == "searched":
        _check_names(rows, problem.parameters)
    x = np.array([_vector(rows, i, problem) for i in range(len(rows.x))]).reshape(len(rows.x), n)
    lower, upper = problem.box
    kept = np.flatnonzero([_is_inside(row, lower, upper) for row in x])
    x = x[kept] + 0.0  # no negative zeros: points are compared by their bytes
    jac, jacobians = np.full(x.shape, np.nan), dict[int, Any]()
    fun, residuals = sign * rows.fun[kept], None
    if loss is not None:
        residuals = rows.fun[kept]
        fun = np.array([loss.value(row) for row in residuals], dtype=np.float64)
    for row, i in enumerate(kept.tolist()):
        raw = rows.jac[i]
        if _is_absent(raw):
            continue
        own = None if residuals is None else residuals[row]
        found = _derivative(rows, i, x[row], own, problem)
        if own is None:
            jac[row] = sign * found
        else:
            assert loss is not None
            jacobians[row], jac[row] = found, _slope(found, own, loss)
    return KnownPoints(x, fun, jac, rows.errors[kept], residuals, jacobians, rows.precision)


def _vector(rows: KnownRows, i: int, problem: Problem) -> Array:
    """Return a point as the vector that is searched."""
    parameters, given = problem.parameters, rows.x[i]
    if parameters is not None and rows.terms == "user":
        return parameters.vector(given, f"Point {i} of known")
    x = np.array(as_real(f"Point {i} of known", given, "a vector"), dtype=np.float64, ndmin=1)
    if x.shape != (problem.n,) or not np.isfinite(x).all():
        raise InvalidInputError(
            f"Point {i} of known is {given!r:.200}, expected {problem.n} finite numbers."
        )
    if parameters is not None and rows.terms == "free":
        return parameters.searched_at(x)
    return x


def _check_names(rows: KnownRows, parameters: Parameters | None) -> None:
    """Raise an InvalidInputError if other variables, or in other units, were searched."""
    wanted = None if parameters is None else parameters.searched
    if rows.names != wanted:
        was, is_now = (
            "a plain vector" if names is None else ", ".join(names[:_SHOWN])
            for names in (rows.names, wanted)
        )
        raise InvalidInputError(
            f"known was recorded for {was}, but this is {is_now}: give x0 in the same structure, "
            "with the same scale and transforms, or give known as arrays."
        )


def _derivative(rows: KnownRows, i: int, z: Array, own: Array | None, problem: Problem) -> Any:
    """Return the gradient at a point of the searched vector, or the Jacobian of its residuals."""
    raw, name = rows.jac[i], f"jac of known, at point {i},"
    try:
        if problem.parameters is not None and rows.terms == "user":
            raw = problem.parameters.gradient(z, raw, name)
        if own is None:
            return as_gradient(raw, problem.n, name=name)
        return as_jacobian(raw, own.size, problem.n)
    except (InvalidValueError, NonFiniteValueError) as error:
        raise InvalidInputError(
            f"The derivative at point {i} of known cannot be used: {error}"
        ) from error


def _is_absent(raw: Any) -> bool:
    """Return whether a derivative is not known: None, or all NaN."""
    if raw is None or not isinstance(raw, list | tuple | np.ndarray):
        return raw is None
    try:
        array = np.asarray(raw)
    except ValueError:  # of a structure
        return False
    return array.dtype.kind == "f" and bool(np.isnan(array).all())


def _slope(jacobian: Any, residuals: Array, loss: Loss) -> Array:
    return np.asarray(jacobian.T @ loss.weighted(residuals), dtype=np.float64).ravel()


def _is_inside(x: Array, lower: Array, upper: Array) -> bool:
    return bool((x >= lower).all() and (x <= upper).all())
