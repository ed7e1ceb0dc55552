"""What a user function returned, checked and made a float64 number or array.

An answer to several points is an array: of shape (k,) with values only; of shape (k, 2) with
standard errors, NaN where one is not known; of shape (k, 2 + m) with m residuals after these.
"""

import inspect
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator

from optimizers._arrays import is_masked
from optimizers._types import Array
from optimizers.errors import InvalidValueError, NonFiniteValueError, NoValueError
from optimizers.gradients import pennylane

#: What the user can do about a value that is not finite, at any point but the start.
REJECT = 'on_failure="reject" treats such points as worse than all others.'
#: The name of gradients that a gradient source computes from values.
DIFFERENCES = "The gradient source"


_JOINT = "If that is the gradient, pass jac=True."
_TWO = (
    "fun returned two numbers for one variable, expected only a value. If the second is the "
    "derivative, pass jac=True; if it is the standard error, mark the objective: with_errors(fun)."
)


class PlusInfinityError(NonFiniteValueError):
    """The value +inf: the point is worse than all others. This error never leaves a run."""


def as_value(raw: Any) -> float:
    """Return the one real number in what an objective returned, finite or not."""
    if isinstance(raw, float | int):  # most objectives; np.float64 is a float
        try:
            return float(raw)
        except OverflowError:
            return _infinite(raw)
    return float(as_values(raw, 1)[0])


def _infinite(number: float) -> float:
    """Return the infinity that represents a whole number too large for a float."""
    return math.inf if number > 0 else -math.inf


def as_values(
    raw: Any, count: int, dtype: type[np.generic] = np.float64, *, is_told: bool = False
) -> NDArray[Any]:
    """Return a copy of the ``count`` numbers in what an objective returned for that many points.

    If ``is_told``, a caller has collected them, and their number is no fault of the objective.
    """
    values = as_numeric(raw, "fun", dtype)
    if values.size != count and is_told:
        raise InvalidValueError(
            f"The answer has {values.size} value{'s' * (values.size != 1)} (shape {values.shape}), "
            f"expected {count}: one for each point, in the order of the question."
        )
    if values.size != count:
        what = "one number" if count == 1 else f"{count} numbers, one for each point of the group"
        hint = " If they are residuals, mark it: residuals(fun)." if values.size > count else ""
        raise InvalidValueError(
            f"fun returned {values.size} values (shape {values.shape}), expected {what}. "
            f"The user-provided objective function must return a scalar value.{hint}"
        )
    return values.reshape(count)


def as_gradient(raw: Any, n: int, *, finite: bool = True, name: str = "jac") -> Array:
    """Return a copy of a gradient as a vector; it may have the shapes (n,), (1, n) or (n, 1).

    A copy, since a ``jac`` may fill the same buffer at each call.
    """
    gradient = as_numeric(raw, name, np.float64)
    if gradient.shape != (n,):
        if gradient.size != n or gradient.ndim > 2:
            hint = "" if gradient.size else pennylane.HINT
            raise InvalidValueError(
                f"{name} returned shape {gradient.shape}, expected ({n},).{hint}"
            )
        gradient = gradient.reshape(n)
    # Counting is faster than all(), by a factor of two for small n.
    if finite and np.count_nonzero(np.isfinite(gradient)) < n:
        raise _non_finite_in(gradient, name)
    return gradient


def as_jacobian(raw: Any, m: int | None, n: int, *, finite: bool = True) -> Any:
    """Return a Jacobian, shape (m, n): a copy of an array or a sparse matrix, or an operator.

    ``m`` is None if the number of rows is not known yet. A single row may have shape (n,). Arrays
    and matrices are stored by rows, so that products round alike wherever they come from.
    """
    if isinstance(raw, LinearOperator):
        check_jacobian(raw, m, n)
        return raw
    if issparse(raw):
        found = raw.tocsr(copy=True)
        found.sum_duplicates()
        found.data = data = as_numeric(found.data, "jac", np.float64)
    else:
        found = data = np.ascontiguousarray(as_numeric(raw, "jac", np.float64))
        if found.ndim == 1 and m in (None, 1):
            found = data = found[np.newaxis]
    check_jacobian(found, m, n)
    if finite and not np.isfinite(data).all():
        raise _non_finite_in(data, "jac")
    return found


def own_jacobian(found: Any) -> Any:
    """Return a Jacobian that nobody else changes; an operator has nothing to change."""
    return found.copy() if hasattr(found, "copy") else found


def check_jacobian(found: Any, m: int | None, n: int) -> None:
    """Raise an InvalidValueError if a Jacobian does not have ``m`` rows."""
    shape = found.shape
    if len(shape) == 2 and shape[1] == n and m in (None, shape[0]):
        return
    hint = " It looks transposed." if len(shape) == 2 and shape[0] == n and m != n else ""
    raise InvalidValueError(
        f"jac returned shape {shape}, expected ({'m' if m is None else m}, {n}): a row for each "
        f"residual, and a column for each variable.{hint}"
    )


def as_matrix(raw: Any, shapes: tuple[tuple[int, ...], ...], name: str) -> Any:
    """Return what a function for second derivatives, or for many first ones, returned.

    It is an array, a sparse matrix or an operator that has one of the ``shapes``.
    """
    if issparse(raw) or isinstance(raw, LinearOperator):
        return shaped(raw, shapes, name)
    matrix = as_numeric(raw, name, np.float64)
    matrix = shaped(matrix.reshape(1, 1) if matrix.size == 1 else matrix, shapes, name)
    if not np.isfinite(matrix).all():
        raise _non_finite_in(matrix, name)
    return matrix


def shaped(raw: Any, shapes: tuple[tuple[int, ...], ...], name: str) -> Any:
    """Return what a function returned if it has one of the ``shapes``."""
    if raw.shape not in shapes:
        expected = " or ".join(map(str, shapes))
        raise InvalidValueError(f"{name} returned shape {raw.shape}, expected {expected}.")
    return raw


def _non_finite_in(array: Array, name: str) -> NonFiniteValueError:
    index = np.argwhere(~np.isfinite(array))[0].tolist()
    where = ", ".join(map(str, index))
    # Differences of huge finite values may overflow.
    is_worst = name == DIFFERENCES and bool(np.isinf(array).any())
    kind = PlusInfinityError if is_worst else NonFiniteValueError
    return kind(
        f"{name} returned {array[tuple(index)]} in component {where}, expected finite numbers. "
        f"{REJECT}"
    )


def precision_of(raw: Any) -> float:
    """Return the machine precision of the numbers that an objective returned; 0.0 for Python's."""
    first = raw[0] if isinstance(raw, list | tuple) and raw else raw
    first = first[0] if isinstance(first, list | tuple) and first else first  # with its error
    dtype = getattr(first, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return float(np.finfo(dtype).eps)
    return 0.0


def unpack(raw: Any) -> tuple[Any, Any]:
    """Return the two parts of what ``fun`` returned with ``jac=True``."""
    try:
        value, gradient = raw
    except (TypeError, ValueError):
        error = NoValueError if raw is None else InvalidValueError
        raise error(
            f"fun returned {raw!r:.200}, expected (value, gradient): with jac=True, or without "
            "fprime and approx_grad, the objective returns both."
        ) from None
    return value, gradient


def non_finite(value: complex, sign: float = 1.0) -> NonFiniteValueError:
    """Return the error for an objective value that is NaN or infinite; ``sign`` is the user's."""
    is_worst = isinstance(value, float) and value > 0
    kind = PlusInfinityError if is_worst else NonFiniteValueError
    return kind(f"fun returned {sign * value}, expected a finite number. {REJECT}")


def as_numeric(raw: Any, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    """Return what a user function returned as a new array of numbers, of any shape."""
    if raw is None:
        missing = NoValueError(f"{name} returned None, expected real numbers: is a return missing?")
        missing.function = name
        raise missing
    if inspect.iscoroutine(raw):
        raw.close()
        raise InvalidValueError(
            f"{name} returned a coroutine, expected real numbers: use minimize_async for coroutine "
            "functions."
        )
    if type(raw) is not np.ndarray and is_masked(raw):
        raise InvalidValueError(
            f"{name} returned {raw!r:.200}, which has masked entries, expected numbers: fill them, "
            "for instance with filled(...), or return nan where there is no value."
        )
    try:
        array = np.asarray(raw)
    except ValueError as error:  # a ragged list
        both = isinstance(raw, tuple) and len(raw) == 2
        raise InvalidValueError(
            f"{name} returned {raw!r:.200}, expected numbers, in rows of one length."
            + both * " If the objective returns its derivatives too, pass jac=True."
        ) from error
    if dtype is np.complex128 and array.dtype.kind in "biuf":
        raise InvalidValueError(
            f"{name} returned real numbers for complex points, expected complex ones: "
            "'cs' needs a function that supports complex numbers throughout."
        )
    allowed = "c" if dtype is np.complex128 else "biuf"
    if array.dtype.kind not in allowed:
        came = "complex numbers" if array.dtype.kind == "c" else f"{raw!r:.200}"
        raise InvalidValueError(
            f"{name} returned {came}, expected real numbers: of type float, int or bool, or the "
            "corresponding NumPy types. Convert others, for instance with float(...)."
        )
    return array.astype(dtype)


def as_measure(raw: Any, n: int, has_errors: bool = False) -> tuple[float, float]:
    """Return the value that an objective returned for one point, and its standard error or NaN.

    ``has_errors`` tells whether it is marked as returning these.
    """
    if type(raw) is tuple and len(raw) == 2:
        value, error = raw
        if isinstance(value, float | int) and isinstance(error, float | int):
            if n == 1 and not has_errors:
                raise InvalidValueError(_TWO)
            return as_value(value), _checked(as_value(error))
    elif isinstance(raw, float | int):
        try:
            return float(raw), math.nan
        except OverflowError:
            return _infinite(raw), math.nan
    return element(as_answer(raw, 1, n, has_errors=has_errors)[0])


def as_answer(
    raw: Any,
    count: int,
    n: int,
    dtype: type[np.generic] = np.float64,
    *,
    has_errors: bool = False,
    is_told: bool = False,
) -> NDArray[Any]:
    """Return what an objective returned for ``count`` points as an answer.

    That is ``count`` values; a tuple of values and standard errors; or ``count`` pairs. The two
    numbers for a single variable are a pair only if ``has_errors``, or if a caller collected them.
    """
    if dtype is np.complex128:
        return as_values(raw, count, dtype, is_told=is_told)
    if count == 2 and not is_told and are_pairs(raw):
        raise InvalidValueError(
            f"fun returned {raw!r:.200} for two points, which may be two values and two errors, or "
            "a value and an error of each point: return two arrays, or a list of pairs."
        )
    if count == 1 and isinstance(raw, tuple | list) and len(raw) == 2:
        _check_no_gradient(raw[0], raw[1], n, has_errors or is_told)
    array = as_numeric(raw, "fun", dtype)
    if array.size == count:
        return array.reshape(count)
    # An array of pairs for points of two variables is more likely an objective without its sum.
    if isinstance(raw, tuple) and len(raw) == 2 and array.size == 2 * count:
        values, errors = array.reshape(2, count)
    elif array.shape == (count, 2) and (n != 2 or isinstance(raw, list | tuple)):
        values, errors = array.T
    else:
        return as_values(array, count, is_told=is_told)  # raises the error
    for error in errors.tolist():
        _checked(error)
    return joined_answer(values, errors)


def are_pairs(raw: Any) -> bool:
    """Return whether an answer is two tuples of two, whose meaning is not clear for two points."""
    return (
        type(raw) is tuple and len(raw) == 2 and all(type(r) is tuple and len(r) == 2 for r in raw)
    )


def _check_no_gradient(value: Any, second: Any, n: int, has_errors: bool) -> None:
    """Raise an InvalidValueError if what follows a value looks like a gradient, not an error."""
    try:
        shapes = np.shape(value), np.shape(second)
    except ValueError:  # a ragged list
        return
    if n == 1 and not has_errors and list(map(math.prod, shapes)) == [1, 1]:
        raise InvalidValueError(_TWO)
    is_array = shapes[1] != () and (n > 1 or shapes[0] == ())
    if is_array and list(map(math.prod, shapes)) == [1, n]:
        raise InvalidValueError(
            f"fun returned a number and an array of {n}, expected only a value. {_JOINT}"
        )


def values_of(answer: NDArray[Any]) -> NDArray[Any]:
    """Return the values in an answer, shape (k,)."""
    return answer if answer.ndim == 1 else answer[:, 0]


def errors_of(answer: NDArray[Any]) -> Array:
    """Return the standard errors in an answer, shape (k,); NaN where there are none."""
    return np.full(len(answer), np.nan) if answer.ndim == 1 else answer[:, 1]


def residuals_of(answer: NDArray[Any]) -> NDArray[Any] | None:
    """Return the residuals in an answer, shape (k, m); None if there are none."""
    return answer[:, 2:] if answer.ndim > 1 and answer.shape[1] > 2 else None


def check_count(m: int, known: int) -> None:
    """Raise an InvalidValueError if there are not as many residuals as at other points."""
    if m != known:
        raise InvalidValueError(
            f"fun returned {m} residuals, but {known} before: return the same number at each point."
        )


def joined_answer(values: Any, errors: Any, dtype: Any = np.float64) -> NDArray[Any]:
    """Return values and standard errors as an answer, with NaN for errors that are not known."""
    if all(math.isnan(error) for error in errors):
        return np.array(values, dtype=dtype)
    return np.array([values, errors], dtype=np.float64).T.copy()


def element(found: Any) -> tuple[Any, float]:
    """Return the value and the standard error in a row of an answer, as Python numbers."""
    if isinstance(found, np.ndarray) and found.ndim == 1:
        return found.item(0), found.item(1)
    return found.item() if isinstance(found, np.generic) else found, math.nan


def _checked(error: float) -> float:
    if error < 0 or error == math.inf:
        raise InvalidValueError(
            f"fun returned the standard error {error}, expected a finite number >= 0, or NaN where "
            f"it is not known. {_JOINT}"
        )
    return error
