"""Parameters: the user's variables, and the vector that algorithms search."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, issparse
from scipy.sparse.linalg import LinearOperator

from optimizers._types import Array, BoundsLike
from optimizers.errors import CapabilityError, InvalidInputError, InvalidValueError, OptionError
from optimizers.problem.bounds import as_start
from optimizers.problem.leaf import is_plain
from optimizers.problem.limits import Limits, as_box
from optimizers.problem.param import Param
from optimizers.problem.scales import Sizes, check_scale, rescale, times
from optimizers.problem.stretch import Stretch, as_transform
from optimizers.problem.structure import Names, Structure, flat_group
from optimizers.result import Best, OptimizerResult

#: Journals keep no names of more variables than this.
_MANY = 10_000
#: The unit of a variable in the search is this part of its range, as Powell advises for the first
#: trust region; a box of 1 would be too small for the steps of differences, made for x of about 1.
_OF_BOX = 0.1
#: By what part of its range a start is inside of a bound that a transform takes to infinity.
_INSIDE = 0.01


def starts_in(X0: Any, scale: Any = None) -> list[Any] | None:  # noqa: N803  # starts
    """Return the starts of many runs, each in a structure; None for plain vectors."""
    if isinstance(X0, np.ndarray):
        return [*X0] if X0.ndim > 2 or (X0.ndim == 2 and scale is not None) else None
    if not isinstance(X0, list | tuple) or not X0:
        return None
    return None if is_plain(X0[0]) and (scale is None or is_plain(X0)) else [*X0]


def parameters_of(x0: Any, bounds: BoundsLike = None, scale: Any = None) -> "Parameters | None":
    """Return how a user's start maps to a vector; None if it is that vector."""
    if scale is None and type(x0) is np.ndarray and x0.ndim == 1:  # the usual case
        return None
    if not is_plain(x0):
        return Parameters(x0, bounds, scale)
    return None if scale is None else Parameters(as_start(x0), bounds, scale)


def start_of(result: Any, bounds: BoundsLike = None) -> Any:
    """Return a start at the point of a result, or at a point: what was fixed in the run is fixed.

    Bounds that are given replace those of Params.
    """
    x = result.x if hasattr(result, "x") else result
    parameters, names = parameters_of(x), getattr(result, "names", None)
    if parameters is None:
        return x
    if names is None:
        names, x = parameters.names, parameters.point(parameters.x0)
    if isinstance(names, Names):
        return names.start_at(x, has_bounds=bounds is None)
    if len(names) != parameters.n:  # of a file
        raise InvalidInputError(
            f"The result has {len(names)} free variables of {parameters.n}, and does not say "
            "whether the others were fixed or tied, as it comes from a file. Call error_bars(x, "
            "fun) with the point in its place, and Param(value, fixed=True) for one that was fixed."
        )
    return x


class Parameters:
    """How a structure maps to the vector ``z`` that algorithms search, shape (n,), and back.

    Fixed and tied variables are not in ``z``; the rest may be transformed and scaled. Methods that
    take points accept stacks of them, (k, n).
    """

    def __init__(self, x0: Any, bounds: BoundsLike = None, scale: Any = None) -> None:
        self.structure = structure = Structure(x0)
        limits = Limits(structure, bounds)
        fixed, sources = self._each("fixed", False).astype(bool), self._sources()
        is_stretched = scale is not None or any(
            one.transform is not None or one.scale is not None for _, one in self._params
        )
        limits.follow(sources)
        if is_stretched:  # between equal bounds, the last bit would be lost
            fixed |= limits.lower == limits.upper
        own = sources == np.arange(structure.size)
        self._free = np.flatnonzero(own & ~fixed)
        #: The number of searched variables.
        self.n = self._free.size
        # The index of each variable among these; negative for none.
        place = np.full(structure.size, -1)
        place[self._free] = np.arange(self.n)
        self._own, self._place = place, place[sources]
        #: Whether all variables of the structure are searched.
        self.is_all = self.n == structure.size
        self._start = limits.start(structure.values(x0, "x0")[sources])
        x, lower, upper = (a[self._free] for a in (self._start, limits.lower, limits.upper))
        self._stretch: Stretch | None = None
        #: The start and the bounds of the free variables, in the user's units.
        self.given = x, lower, upper
        if is_stretched:
            self._stretch = stretch = self._transformed(x, lower, upper)
            stretch.scale = self._sizes(scale, stretch, x, lower, upper)
            low, high = stretch.limits(x, lower, upper)
            x, lower, upper = np.clip(stretch.to(x), low, high), low, high
        #: The start of the search, and its bounds as SciPy's Bounds or None.
        self.x0: Array = x
        kept = np.broadcast_to(limits.keep_feasible, structure.size)[self._free]
        self.bounds = as_box(lower, upper, kept if kept.any() else False)
        self._box = lower, upper

    # What the user gave.

    @property
    def _params(self) -> list[tuple[slice, Param]]:
        given = self.structure.given
        return [(leaf.where, one) for leaf, one in given if isinstance(one, Param)]

    def _each(self, name: str, default: float) -> Array:
        """Return an attribute of the Params, for each variable."""
        found = np.full(self.structure.size, default, dtype=np.float64)
        for where, one in self._params:
            given = getattr(one, name)
            if given is not None:
                try:
                    found[where] = np.ravel(np.broadcast_to(given, np.shape(one.numbers)))
                except (TypeError, ValueError):
                    raise InvalidInputError(
                        f"{name} of {self.structure.name_of(where.start)} is {given!r:.200}, "
                        "expected a single value, or one for each entry of the Param."
                    ) from None
        return found

    def _sources(self) -> NDArray[np.intp]:
        """Return, for each variable, the index of the one that it is tied to, or its own."""
        name_of, sources = self.structure.name_of, np.arange(self.structure.size)
        for where, one in self._params:
            if one.tie is not None:
                found = self.structure.places(one.tie, "tie")
                if found.size not in (1, where.stop - where.start):
                    raise InvalidInputError(
                        f"{name_of(where.start)} is tied to {one.tie}, which has {found.size} "
                        f"numbers, expected {where.stop - where.start} or 1."
                    )
                if np.array_equal(found, sources[where]):
                    raise InvalidInputError(f"{one.tie} is tied to itself, expected another name.")
                sources[where] = found
        for at in np.flatnonzero(sources[sources] != sources)[:1]:
            raise InvalidInputError(
                f"{name_of(at)} is tied to {name_of(sources[at])}, which is tied itself: tie both "
                "to one that is not tied."
            )
        return sources

    def _transformed(self, x: Array, lower: Array, upper: Array) -> Stretch:
        """Return the transforms that Params name, without a scale."""
        stretch = Stretch(np.ones(self.n))
        for where, one in self._params:
            transform = as_transform(one.transform)
            at = self._own[where][self._own[where] >= 0]
            if transform is not None and at.size:
                stretch.add(at, transform, lower[at], upper[at])
        for at in np.flatnonzero(~stretch.takes(x))[:1]:
            raise InvalidInputError(
                f"{self.structure.name_of(self._free[at])} is {x[at]}: its transform is not finite "
                "there, or the inverse transform does not return this value."
            )
        return stretch

    def _sizes(self, scale: Any, stretch: Stretch, x: Array, lower: Array, upper: Array) -> Array:
        """Return the divisor of each searched variable."""
        sizes, expected = np.ones(self.n), "finite numbers > 0"
        check_scale("scale", scale)
        if isinstance(scale, Sizes):
            sizes = scale.numbers
        elif isinstance(scale, str) and scale == "start":
            sizes = np.abs(stretch.to(x))
            sizes[sizes == 0.0] = 1.0
        elif isinstance(scale, str) and scale == "bounds":
            low, high = stretch.limits(x, lower, upper)
            sizes, expected = _OF_BOX * (high - low), "finite bounds for each variable"
        elif isinstance(scale, str):
            raise OptionError(
                f"scale is {scale!r}, which needs an evaluation first: only minimize without a "
                "journal supports it. Pass numbers, such as the entry scale of its result."
            )
        elif scale is not None:
            sizes = self.structure.values(scale, "scale")[self._free]
        own = self._each("scale", np.nan)[self._free]
        sizes = np.where(np.isnan(own), sizes, own)
        for at in np.flatnonzero(~((sizes > 0) & np.isfinite(sizes)))[:1]:
            raise InvalidInputError(
                f"scale of {self.structure.name_of(self._free[at])} is {sizes[at]}, expected "
                f"{expected}."
            )
        return sizes

    # From the searched vector to the user's variables.

    @property
    def is_stretched(self) -> bool:
        """Whether the searched variables have other units than the user's."""
        return self._stretch is not None

    @property
    def is_transformed(self) -> bool:
        """Whether variables are transformed, and not only scaled."""
        return self._stretch is not None and bool(self._stretch.transforms)

    @property
    def base(self) -> Array:
        """The structure's variables where the searched vector is zero; without transforms."""
        return self._spread(np.zeros(self.n), self._start)

    @property
    def names(self) -> Names:
        """The names of the free variables."""
        return Names(self.structure, self._free)

    @property
    def searched(self) -> list[str] | None:
        """The names of the searched variables, such as ``log(rate)``; None for very many."""
        if self.n > _MANY:
            return None
        names = list(self.names)
        return names if self._stretch is None else self._stretch.names(names)

    @property
    def sizes(self) -> Array:
        """The divisors of the searched variables."""
        return np.ones(self.n) if self._stretch is None else self._stretch.scale

    def drawn_between(self) -> tuple[Array, Array]:
        """Return the sides of the box in which starts are drawn; raise an error if there is none.

        Where a transform takes a finite bound to infinity, they are a little inside of it.
        """
        _, lower, upper = self.given
        for at in np.flatnonzero(~np.isfinite(upper - lower))[:1]:
            raise InvalidInputError(
                f"bounds of {self.names[at]} are ({lower[at]}, {upper[at]}), expected finite "
                "bounds on both sides of each variable, since starts are drawn between them."
            )
        if self._stretch is None:
            return lower, upper
        margin = _INSIDE * (upper - lower)
        inside = np.sort([self._stretch.to(lower + margin), self._stretch.to(upper - margin)], 0)
        low, high = (
            np.where(np.isfinite(side), side, near)
            for side, near in zip(self._box, inside, strict=True)
        )
        return low, high

    def free(self, z: NDArray[Any]) -> NDArray[Any]:
        """Return the free variables, in the user's units."""
        return z if self._stretch is None else self._stretch.back(z)

    def searched_at(self, x: Array) -> Array:
        """Return the searched vector at a point of the free variables."""
        return x if self._stretch is None else self._stretch.to(x)

    @property
    def quickest(self) -> Callable[[NDArray[Any]], Any]:
        """The fastest equivalent of :meth:`point`."""
        is_itself = self._stretch is None and self.is_all
        return self.structure.checked_point if is_itself else self.point

    def point(self, z: NDArray[Any]) -> Any:
        """Return the structure at a point, or the structure of stacks at a stack of points."""
        if z.shape[-1] != self.n:
            raise flat_group(z.size // max(1, self.n))
        x = z if self._stretch is None else self._stretch.back(z)
        if not self.is_all:
            x = self._spread(x, self._start)
        return self.structure.point(x)

    def _spread(self, x: NDArray[Any], others: Any) -> NDArray[Any]:
        """Return the structure's variables from the free ones and the values of the others."""
        whole = np.empty((*x.shape[:-1], self.structure.size), dtype=x.dtype)
        whole[...] = others
        is_free = self._place >= 0
        whole[..., is_free] = x[..., self._place[is_free]]
        return whole

    def vector(self, tree: Any, what: str = "A start") -> Array:
        """Return the searched vector of a user's point, whose fixed variables must equal ``x0``."""
        whole, fixed = self.structure.values(tree, what), self._place < 0
        fits = np.where(fixed, whole == self._start, np.isfinite(whole) | (self._own < 0))
        for at in np.flatnonzero(~fits)[:1]:
            expected = f"{self._start[at]}, as it is fixed" if fixed[at] else "a finite number"
            raise InvalidInputError(
                f"{self.structure.name_of(at)} of a point is {whole[at]}, expected {expected}."
            )
        return self.searched_at(whole[self._free])

    def free_part(self, tree: Any, name: str) -> Array:
        """Return the numbers of a structure that belong to the free variables."""
        return self.structure.values(tree, name)[self._free]

    # From derivatives in the user's variables to those in the searched ones.

    @functools.cached_property
    def _matrix(self) -> csr_array:
        """The derivatives of the structure's variables with respect to the free ones."""
        rows = np.flatnonzero(self._place >= 0)
        where = rows, self._place[rows]
        return csr_array((np.ones(rows.size), where), shape=(self.structure.size, self.n))

    def gradient(self, z: NDArray[Any], raw: Any, name: str = "jac") -> Any:
        """Convert the gradient, or the Jacobian, that a user's function returned at a point."""
        found = self.structure.vector(raw, name)
        if not self.is_all:
            found = times(found, self._matrix)
        if self._stretch is None:
            return found
        slope = self._stretch.slope(z)
        if issparse(found) or isinstance(found, LinearOperator):
            return times(found, diags_array(slope))
        return found * (slope[:, np.newaxis] if np.ndim(found) > slope.ndim > 1 else slope)

    def hessian(self, z: NDArray[Any], raw: Any) -> Any:
        """Convert the Hessian that a user's function returned at a point."""
        if not (issparse(raw) or isinstance(raw, LinearOperator)):
            raw = self.structure.rows(raw, "hess")
        half = self.gradient(z, raw, "hess")
        return self.gradient(z, half.T, "hess")

    def direction(self, z: NDArray[Any], p: NDArray[Any]) -> Any:
        """Return, as a structure, a direction of the searched vector."""
        step = p if self._stretch is None else p * self._stretch.slope(z)
        return self.structure.point(step if self.is_all else self._spread(step, 0.0))

    def check_curvature(self, what: str) -> None:
        """Raise a CapabilityError if converting second derivatives would need first ones."""
        if self.is_transformed:
            raise CapabilityError(
                f"{what} is given, but x0 has transforms, for which second derivatives are not "
                "supported: remove one of them."
            )

    # What the user receives.

    def result(self, found: OptimizerResult) -> OptimizerResult:
        """Return a result, or a state, in the user's structure, as another object."""
        shown, z = OptimizerResult(found), found.x
        shown.x, shown["x_flat"], shown["names"] = self.point(z), self.free(z).copy(), self.names
        jac, best = found.get("jac"), found.get("best")
        if jac is not None:
            shown.jac = self.shown_gradient(z, jac)
        if best is not None:
            shown.best = Best(self.point(best.x), best.fun)
        if self._stretch is not None:
            rescale(shown, self._stretch.slope(z))
            if (self._stretch.scale != 1.0).any():
                scale = self._stretch.scale
                whole = scale if self.is_all else self._spread(scale, 1.0)
                shown["scale"] = self.structure.point(whole)
        return shown

    def shown_gradient(self, z: Array, gradient: Array) -> Any:
        """Return a gradient of the searched vector as one of the user's variables."""
        if self._stretch is not None:
            with np.errstate(all="ignore"):
                gradient = gradient / self._stretch.slope(z)
        whole = gradient if self.is_all else self._spread(gradient, 0.0)
        return self.structure.point(whole)

    def told_gradients(self, points: Array, given: Any) -> list[Any]:
        """Convert gradients, or Jacobians, that a caller told to those of the searched vector."""
        if len(points) == 1:
            try:
                return [self.gradient(points[0], given, "eval_jac")]
            except InvalidValueError:
                if not isinstance(given, list | tuple) or len(given) != 1:
                    raise
        if len(given) != len(points):
            raise InvalidInputError(
                f"eval_jac has {len(given)} gradients, expected one for each of {len(points)} "
                "points."
            )
        pairs = zip(points, given, strict=True)
        return [self.gradient(z, gradient, "eval_jac") for z, gradient in pairs]

    def show(self, results: Any) -> None:
        """Convert a result, or each of several, to the user's structure, if not yet done."""
        if isinstance(results, OptimizerResult):
            if "x_flat" not in results:
                results.update(self.result(results))
            for further in (
                results.get("results"),
                getattr(results.get("error"), "optimizer_result", None),
            ):
                self.show(further)
        elif results is not None:
            for result in results.values() if isinstance(results, dict) else results:
                self.show(result)
