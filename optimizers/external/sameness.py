"""Sameness: whether two functions would compute the same, so that one can stand for the other.

A fresh lambda from the same line of code, with the same objects around it, need not be compiled
again.
"""

import functools
import hashlib
import sys
import types
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
#: How deep containers and helper functions are looked into; deeper, objects count as themselves.
_DEPTH = 5


class Sameness:
    """What functions are made of: their code, and what it refers to.

    Numbers, strings, containers and NumPy's arrays count by value; anything else by identity, and
    so does what a function changes itself (a counter of its calls): see :meth:`settle`.

    Parameters
    ----------
    functions : sequence
        The functions; or other objects, which count by identity.

    Examples
    --------
    >>> def make(data, scale):
    ...     return lambda: data[0] * scale
    >>> data = np.ones(3)
    >>> Sameness([make(data, 2)]) == Sameness([make(data.copy(), 2)])
    True
    >>> Sameness([make(data, 2)]) == Sameness([make(data, 3)])
    False
    """

    def __init__(self, functions: Sequence[Any]) -> None:
        self._functions = list(functions)
        self._volatile: set[Hashable] = set()
        self._look()

    def _look(self) -> None:
        self._parts: dict[Hashable, tuple[Hashable, Hashable]] = {}
        tokens = _Tokens()
        for i, function in enumerate(self._functions):
            for path, thing in _parts(function, (i,)):
                self._parts[path] = tokens.identity(thing), tokens.of(thing, _DEPTH)
        self._kept = tokens.kept

    def settle(self) -> None:
        """Leave out by value what has changed since: the functions were called, and changed it."""
        before = self._parts
        self._look()
        self._volatile = {
            path for path, part in self._parts.items() if before.get(path, part)[1] != part[1]
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sameness):
            return NotImplemented
        volatile = self._volatile | other._volatile
        if self._parts.keys() != other._parts.keys():
            return False
        for path, (identity, token) in self._parts.items():
            its_identity, its_token = other._parts[path]
            if path in volatile:
                if identity != its_identity:
                    return False
            elif token != its_token:
                return False
        return True

    __hash__ = None  # type: ignore[assignment]  # what counts may change


def _parts(function: Any, path: tuple[Hashable, ...]) -> Iterator[tuple[Hashable, Any]]:
    """Yield what a function is made of, by name."""
    if isinstance(function, functools.partial):
        yield (*path, "args"), function.args
        yield (*path, "keywords"), function.keywords
        yield from _parts(function.func, (*path, "func"))
    elif isinstance(function, types.MethodType):
        yield (*path, "self"), function.__self__
        yield from _parts(function.__func__, (*path, "function"))
    elif isinstance(function, types.FunctionType):
        yield (*path, "code"), function.__code__
        yield (*path, "defaults"), function.__defaults__
        yield (*path, "keyword defaults"), function.__kwdefaults__
        cells = function.__closure__ or ()
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
            try:
                yield (*path, "cell", name), cell.cell_contents
            except ValueError:  # not filled yet
                yield (*path, "cell", name), None
        for name in _names(function.__code__):
            if name in function.__globals__:
                yield (*path, "global", name), function.__globals__[name]
    else:
        yield (*path, "object"), function


def _names(code: types.CodeType) -> list[str]:
    """Return the names of globals that code may use, that of functions inside it included."""
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return sorted({*code.co_names, *(name for const in inner for name in _names(const))})


class _Tokens:
    """Makes what stands for things, and keeps those whose id does: nothing else may get it."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def identity(self, thing: Any) -> Hashable:
        if isinstance(thing, _PLAIN):
            return "plain", type(thing)
        self.kept.append(thing)
        return id(thing)

    def of(self, thing: Any, depth: int) -> Hashable:
        """Return what stands for a thing's value, as far as that is looked at."""
        if isinstance(thing, _PLAIN):
            return type(thing), repr(thing)  # NaN equals itself, and 0.0 is not -0.0
        if isinstance(thing, types.CodeType):
            return thing
        if isinstance(thing, np.ndarray) and thing.dtype.kind in "biufcSU":
            data = np.ascontiguousarray(thing)
            digest = hashlib.blake2b(data.view(np.uint8).data if data.size else b"").digest()
            return thing.dtype.str, thing.shape, digest
        return (self._inside(thing, depth) if depth else None) or self.identity(thing)

    def _inside(self, thing: Any, depth: int) -> Hashable:
        """Return what stands for the inside of a thing; None if it counts as itself."""
        if type(thing) in (list, tuple):
            return type(thing), tuple(self.of(item, depth - 1) for item in thing)
        if type(thing) is dict:
            pairs = ((self.of(k, 0), self.of(v, depth - 1)) for k, v in thing.items())
            return dict, tuple(pairs)
        if isinstance(thing, types.FunctionType | types.MethodType | functools.partial):
            if _is_installed(thing):
                return None
            return tuple((path, self.of(part, depth - 1)) for path, part in _parts(thing, ()))
        if _is_users(thing):
            plain = [(k, v) for k, v in vars(thing).items() if isinstance(v, (*_PLAIN, np.ndarray))]
            return self.identity(thing), tuple((name, self.of(v, 0)) for name, v in plain)
        return None


def _is_installed(function: Callable[..., Any]) -> bool:
    """Return whether a function is a library's: those are not changed between two calls."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    file = getattr(module, "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def _is_users(thing: Any) -> bool:
    """Return whether an object is of a class of the user's, whose attributes may be changed."""
    if isinstance(thing, type | types.ModuleType) or not hasattr(thing, "__dict__"):
        return False
    root = type(thing).__module__.partition(".")[0]
    return root not in ("tensorflow", "keras", "torch", "jax", "jaxlib", "numpy", "builtins")
