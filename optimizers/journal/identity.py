"""The identity of a user's function, as far as it is certain: its name, and checksums of its parts.

Parts are its code, the code of the functions that it calls, and the values that it reads. Only what
is the same in every process has a checksum: no framework's object, no address, no file name.
"""

import dis
import functools
import hashlib
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optimizers.evaluation.arguments import WithArguments
from optimizers.problem.problem import Problem

_PACKAGE = str(Path(__file__).parents[1])
_LIBRARIES = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), _PACKAGE})
#: Functions of this package that replace a user's function, without knowing it.
_OURS = "optimizers."
_PROBLEMS = "optimizers.problems."
#: Numbers and text, which ``repr`` describes completely.
_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, range, slice, type(...))
#: Modules with other types of that kind.
_OF_PLAIN = ("array", "datetime", "decimal", "fractions")
#: Containers, whose values are read one by one if the whole has no checksum.
_COLLECTIONS = (dict, list, tuple, deque, types.SimpleNamespace)
#: The size in bytes above which arrays are not read, and the maximum number of parts.
_LARGE, _MANY = 2**28, 300
#: The flags of a function that affect its behavior: further arguments, and whether it is a
#: generator.
_FLAGS = 0x2AC
#: Instructions for variables shared with inner functions, which are ordered by name.
_UNORDERED = ("MAKE_CELL", "LOAD_CLOSURE")
#: Modules of base classes without state.
_PLAIN_BASES = ("builtins", "abc", "enum", "typing")
#: Modules of matrices that are defined by the arrays they hold.
_SPARSE = "scipy.sparse."
#: The name of the part that is the function itself.
CODE = "its code"


def identities(problem: Problem) -> dict[str, Any]:
    """Return the identities of the functions of a problem that are recorded, by name."""
    functions = {
        "fun": problem.fun,
        "jac": problem.derivatives.jac,
        "hess": problem.hess,
        "hessp": problem.hessp,
        "loss": None if problem.loss is None else problem.loss.rho,
    }
    return {
        name: identity_of(function) for name, function in functions.items() if callable(function)
    }


def identity_of(function: Any) -> dict[str, Any]:
    """Return a function's name, or None if it is not certain, and the checksums of its parts."""
    return {"name": _name(function), "parts": Parts(function).checksums()}


def _name(function: Any) -> str | None:
    """Return the name of a function, or of the class of a user's object, without its module."""
    inner, seen = function, 0
    while (further := _inner(inner)) is not None and seen < _MANY:
        inner, seen = further, seen + 1
    named = inner
    if not isinstance(named, types.FunctionType | types.BuiltinFunctionType | type | np.ufunc):
        named = type(inner)
        if not (_is_users(named) or _is_ours(named)):
            return None
    module = f"{getattr(named, '__module__', '')}."
    if module.startswith(_OURS) and not module.startswith(_PROBLEMS):
        return None
    name: str = getattr(named, "__qualname__", named.__name__)
    return name.rpartition("<locals>.")[2]


def _inner(function: Any) -> Any:
    """Return the function that another one wraps, or None."""
    wrapped = getattr(function, "__wrapped__", None)
    if callable(wrapped):
        return wrapped
    if isinstance(function, functools.partial):
        return function.func
    if isinstance(function, WithArguments):
        return function.function
    if isinstance(function, types.MethodType):
        return function.__func__
    # SciPy's wrapper of an objective with jac=True.
    return function.fun if type(function).__name__ == "MemoizeJac" else None


def _is_library(file: str) -> bool:
    """Return whether a file belongs to Python, an installed package, or this package."""
    is_installed = {"site-packages", "dist-packages"} & set(Path(file).parts)
    return bool(is_installed) or file.startswith((*_LIBRARIES, "<frozen"))


def _is_users(cls: type) -> bool:
    """Return whether a class is the user's."""
    if cls.__module__ == "__main__":
        return True
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    files = [str(file)]
    if file is None:  # typed in, or compiled
        functions = (each for each in _functions(cls) if isinstance(each, types.FunctionType))
        files = [function.__code__.co_filename for function in functions]
    return any(not _is_library(each) for each in files)


def _is_ours(cls: type) -> bool:
    return f"{cls.__module__}.".startswith(_PROBLEMS)


def _functions(cls: type) -> Iterable[Any]:
    for item in vars(cls).values():
        if isinstance(item, property):
            yield item.fget
        elif isinstance(item, functools.cached_property):
            yield item.func
        else:
            yield getattr(item, "__func__", item)  # static methods and class methods


class Parts:
    """The parts of a function and their checksums."""

    def __init__(self, function: Any) -> None:
        self._sums: dict[str, Any] = {}
        # Kept, so that no other object gets the same id; new ones are appended.
        self._found: dict[int, tuple[Any, str]] = {}
        self._visit(function, CODE)
        done = 0
        while done < len(self._found):  # not recursion: call chains may be long
            for each in list(self._found.values())[done:]:
                self._add_callable(*each)
                done += 1

    def checksums(self) -> dict[str, str]:
        """Return the checksum of each part, by its description."""
        return {label: found.hexdigest() for label, found in self._sums.items()}

    def _add(self, label: str, data: bytes) -> None:
        if label not in self._sums:
            self._sums[label] = hashlib.blake2b(digest_size=8)
        self._sums[label].update(data)

    def _visit(self, function: Any, label: str) -> None:
        """Queue a function, once."""
        if len(self._found) < _MANY:
            self._found.setdefault(id(function), (function, label))

    def _add_callable(self, function: Any, label: str) -> None:
        """Add a function, the one that it wraps, and what it uses."""
        if isinstance(function, types.FunctionType):
            if not _is_library(function.__code__.co_filename):
                self._add_function(function, label)
                label = f"the code of {function.__name__}"  # of the wrapped function
        elif isinstance(function, type):
            self._add_class(function)
        elif isinstance(function, _COLLECTIONS):
            self._add_values(label, _items(function))
        elif isinstance(function, functools.partial):
            self._add_values("the argument", enumerate(function.args, 1))
            self._add_values("the argument", function.keywords.items())
        elif isinstance(function, WithArguments):
            self._add_values("args", [("", function.args)])
        inner = _inner(function)
        if inner is not None:
            self._visit(inner, label)
        if isinstance(function, types.MethodType):
            self._add_object(function.__self__)
        elif not isinstance(function, types.FunctionType | type):
            self._add_object(function)

    def _add_function(self, function: types.FunctionType, label: str) -> None:
        code = function.__code__
        data, names, attributes = _read(code)
        self._add(label, data)
        given = function.__defaults__ or ()
        arguments = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
        self._add_values("the default of", zip(arguments, given, strict=True))
        self._add_values("the default of", (function.__kwdefaults__ or {}).items())
        public = [item for item in vars(function).items() if not item[0].startswith("_")]
        self._add_values("the value of", public)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._add_used(name, cell.cell_contents, attributes)
            except ValueError:  # the cell is empty
                continue
        for name in sorted(names):
            if name in function.__globals__:
                self._add_used(name, function.__globals__[name], attributes)

    def _add_used(self, name: str, value: Any, attributes: set[str]) -> None:
        """Add the value of a name that a function uses; for a user's module, its attributes."""
        if isinstance(value, types.ModuleType):
            file = getattr(value, "__file__", None)
            if file is not None and not _is_library(file):
                for attribute in sorted(attributes & vars(value).keys()):
                    if not isinstance(vars(value)[attribute], types.ModuleType):
                        self._add_used(attribute, vars(value)[attribute], attributes)
        elif callable(value):
            self._visit(value, f"the code of {name}")
        else:
            self._add_values("the value of", [(name, value)])

    def _add_values(self, label: str, named: Iterable[tuple[Any, Any]]) -> None:
        for name, value in named:
            data, what = _bytes(value), f"{label} {name}".strip()
            if data is not None:
                self._add(what, data)
            elif callable(value):
                self._visit(value, f"the code of {name}")
            elif isinstance(value, _COLLECTIONS) or _is_users(type(value)):
                self._visit(value, what)

    def _add_class(self, cls: type) -> None:
        for base in cls.__mro__:
            if not _is_users(base):
                continue
            for function in _functions(base):
                if isinstance(function, types.FunctionType):
                    self._visit(function, f"the code of {function.__name__}")
            shown = [item for item in vars(base).items() if not item[0].startswith("__")]
            self._add_values(f"the value of {base.__name__}", shown)

    def _add_object(self, value: Any) -> None:
        """Add an object: the code of its class, and its attributes if all of it is the user's.

        A framework's base class holds names and numbers that differ each time.
        """
        cls = type(value)
        self._add_class(cls)
        if all(
            base.__module__ in _PLAIN_BASES or _is_users(base) or _is_ours(base)
            for base in cls.__mro__
        ):
            for name, held in getattr(value, "__dict__", {}).items():
                if isinstance(getattr(cls, name, None), functools.cached_property):
                    continue  # derived from the rest, and rounding may differ
                if callable(held):
                    self._visit(held, f"the code of {name}")
                else:
                    self._add_values("the value of", [(name, held)])


def _items(held: Any) -> Iterable[tuple[Any, Any]]:
    """Return the items of a collection, with names."""
    if isinstance(held, list | tuple | deque):
        return enumerate(held, 1)
    return (held if isinstance(held, dict) else vars(held)).items()


def _read(
    code: types.CodeType, outer: Mapping[str, str] | None = None, seen: dict[str, int] | None = None
) -> tuple[bytes, set[str], set[str]]:
    """Return a position-independent form of a code object, and the globals and attributes it reads.

    Local variables are identified by their order; ``seen`` has the order of those shared with inner
    functions, which find them in ``outer``.
    """
    parts = [str((code.co_argcount, code.co_kwonlyargcount, code.co_flags & _FLAGS)).encode()]
    names, attributes, seen = set[str](), set[str](), {} if seen is None else seen
    cells = {**(outer or {}), **{name: f"{name} {id(code)}" for name in code.co_cellvars}}
    for step in dis.get_instructions(code):
        is_local, cell = step.opcode in dis.haslocal, None
        if isinstance(step.argval, str) and (is_local or step.opcode in dis.hasfree):
            cell = cells.get(step.argval)
        if cell is not None and (is_local or step.opname in _UNORDERED):
            continue
        if isinstance(step.argval, types.CodeType):
            data, further, inner = _read(step.argval, cells, seen)
            names, attributes = names | further, attributes | inner
        elif is_local or cell is not None:
            data = str(step.arg if cell is None else seen.setdefault(cell, len(seen))).encode()
        else:
            data = _bytes(step.argval) or type(step.argval).__name__.encode()
        parts += [step.opname.encode(), data]
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(step.argval)
    return b"\0".join(parts), names, attributes


def _bytes(value: Any, depth: int = 20) -> bytes | None:
    """Return bytes that represent a value in every process; None if that is not certain."""
    module = f"{type(value).__module__}"
    if type(value) in _PLAIN or module in _OF_PLAIN:
        return f"{type(value).__name__} {value!r}".encode()
    if isinstance(value, np.ma.MaskedArray):
        value = (value.data, np.ma.getmaskarray(value))
    elif module.startswith(_SPARSE):
        held = getattr(value, "__dict__", {}).items()  # without flags about the memory order
        value = {name: item for name, item in held if isinstance(item, np.ndarray | tuple | dict)}
    elif isinstance(value, np.ndarray) and value.dtype.kind == "O":
        value = value.tolist()
    elif isinstance(value, np.ndarray | np.void) and value.dtype.names:
        value = [value[name] for name in value.dtype.names]
    elif isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "biufcSUmM" or value.nbytes > _LARGE:
            return None
        found = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=8)
        return f"array {value.dtype.str} {value.shape} {found.hexdigest()}".encode()
    if type(value) is dict:
        value = [item for pair in value.items() for item in pair]
    if type(value) not in (tuple, list, set, frozenset) or not depth:
        return None
    items = [_bytes(item, depth - 1) for item in value]
    known = [item for item in items if item is not None]
    if isinstance(value, set | frozenset):
        known.sort()
    return b"(%b)" % b",".join(known) if len(known) == len(items) else None


def is_code(part: str) -> bool:
    """Return whether the description of a part says that it is code."""
    return part.endswith(f": {CODE}") or ": the code of " in part


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return which parts of functions changed, in words."""
    return [
        f"{name}: {label}"
        for name in before.keys() & after.keys()
        for label, checksum in before[name]["parts"].items()
        if after[name]["parts"].get(label, checksum) != checksum
    ]
