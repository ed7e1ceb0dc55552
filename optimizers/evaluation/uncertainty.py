"""What an objective returned that may say its own uncertainty: values and standard errors.

An answer travels as an array: of shape (k,) with values alone, of shape (k, 2) where standard
errors were told, with NaN for one that is not known.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidValueError
from optimizers.evaluation.answers import as_numeric, as_value, as_values


def as_measure(raw: Any, n: int) -> tuple[float, float]:
    """Return the value in what an objective returned for one point, and its standard error.

    Parameters
    ----------
    raw : number, list or array with one element, or (value, standard error)
        What the objective returned.
    n : int
        The number of variables.

    Returns
    -------
    value, error : float
        The number, finite or not, and its standard error; NaN if that is not known.

    Raises
    ------
    NoValueError
        If it is None.
    InvalidValueError
        If it is neither a real number nor a tuple of two, of which the second is no error.

    Examples
    --------
    >>> as_measure(2, 3)
    (2.0, nan)
    >>> as_measure((2.0, 0.1), 3)
    (2.0, 0.1)
    """
    if type(raw) is tuple and len(raw) == 2:
        value, error = raw
        if isinstance(value, float | int) and isinstance(error, float | int):
            return float(value), _checked(float(error))
    elif isinstance(raw, float | int):
        return float(raw), math.nan
    answer = as_answer(raw, 1, n)
    return (as_value(answer), math.nan) if answer.ndim == 1 else (answer.item(0), answer.item(1))


def as_answer(raw: Any, count: int, n: int, dtype: type[np.generic] = np.float64) -> NDArray[Any]:
    """Return what an objective returned for so many points as an answer.

    Parameters
    ----------
    raw : number, list, array or tuple
        ``count`` values; or a tuple of values and standard errors, as many of each; or a list or
        an array of ``count`` pairs.
    count : int
        The number of points that it was given.
    n : int
        The number of variables. An array of ``count`` pairs for points of two variables is taken
        for a stack of points of which a sum was forgotten.
    dtype : type, default float64
        ``complex128`` for complex points, which take no standard errors.

    Returns
    -------
    ndarray of dtype, shape (count,), or (count, 2) with standard errors
        A copy of the numbers.

    Raises
    ------
    InvalidValueError
        If the number of values, or their type, is wrong, or a standard error is none.

    Examples
    --------
    >>> as_answer([1, 2], 2, 3)
    array([1., 2.])
    >>> as_answer(([1, 2], [0.5, 0.25]), 2, 3)
    array([[1.  , 0.5 ],
           [2.  , 0.25]])
    """
    if dtype is np.complex128:
        return as_values(raw, count, dtype)
    array = as_numeric(raw, "fun", dtype)
    if array.size == count:
        return array.reshape(count)
    if isinstance(raw, tuple) and len(raw) == 2 and array.size == 2 * count:
        pairs = array.reshape(2, count).T.copy()
    elif array.shape == (count, 2) and (n != 2 or isinstance(raw, list | tuple)):
        pairs = array
    else:
        return as_values(array, count)  # raises, with the words
    for error in pairs[:, 1].tolist():
        _checked(error)
    return pairs[:, 0].copy() if np.isnan(pairs[:, 1]).all() else pairs


def values_of(answer: NDArray[Any]) -> NDArray[Any]:
    """Return the values in an answer, shape (k,)."""
    return answer if answer.ndim == 1 else answer[:, 0]


def errors_of(answer: NDArray[Any]) -> Array:
    """Return the standard errors in an answer, shape (k,); NaN where there are none."""
    return np.full(len(answer), np.nan) if answer.ndim == 1 else answer[:, 1]


def joined_answer(values: Any, errors: Any, dtype: Any = np.float64) -> NDArray[Any]:
    """Return the answer that values and standard errors make.

    Parameters
    ----------
    values : sequence of numbers
        The values.
    errors : sequence of float
        Their standard errors, NaN for one that is not known.
    dtype : dtype, optional
        The values' type.
    """
    if all(math.isnan(error) for error in errors):
        return np.array(values, dtype=dtype)
    return np.array([values, errors], dtype=np.float64).T.copy()


def element(found: Any) -> tuple[Any, float]:
    """Return value and standard error in what one row of an answer is, as Python's numbers."""
    if isinstance(found, np.ndarray) and found.ndim == 1:
        return found.item(0), found.item(1)
    return found.item() if isinstance(found, np.generic) else found, math.nan


def _checked(error: float) -> float:
    if error < 0 or error == math.inf:
        raise InvalidValueError(
            f"fun returned the standard error {error}, expected a finite number >= 0, or NaN where "
            "it is not known."
        )
    return error


__all__ = ["as_answer", "as_measure", "element", "errors_of", "joined_answer", "values_of"]
