"""The header of a journal: what identifies its run, and how another run differs."""

import copy
import inspect
import platform
import sys
from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from optimizers._types import Array
from optimizers._version import __version__
from optimizers.errors import JournalMismatchError
from optimizers.evaluation.marks import Marked, takes_shots
from optimizers.journal.identity import CODE, changed, is_code
from optimizers.journal.records import decoded, encoded
from optimizers.problem.known import points_of
from optimizers.problem.parameters import Parameters
from optimizers.problem.problem import Problem
from optimizers.run.budget import Paid

#: The format that is written and read.
FORMAT = 1
#: Settings and options that do not change the path of a run, only how it is evaluated, how far it
#: gets, or what is shown. A journal may be resumed under different ones.
FREE = frozenset(
    (
        *(
            "callback",
            "progress",
            "workers",
            "eval_timeout",
            "retries",
            "hedge",
            "timeout",
            "journal",
        ),
        *("on_failure", "journal_check", "on_interrupt", "maxfun", "maxfev", "maxiter"),
        *("maxshots", "maxjobs", "shots"),  # objectives that take shots are compared by them
        *("f_target", "patience"),
        *("disp", "iprint", "mesg_num", "return_all", "verbose", "seed", "snapshot_dir"),
    )
)
#: How many differences a message shows.
_SHOWN = 5


def header_of(optimizer: Any, problem: Problem, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the header of a run's journal, in JSON types, without the seed."""
    settings = {**optimizer.settings, **settings}
    if settings.get("known") is not None:
        settings["known"] = points_of(settings["known"], problem).identity
    return {
        "journal": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "optimizer": type(optimizer).__name__,
        "title": optimizer._title,
        "settings": plain(settings),
        "problem": {
            "n": problem.n,
            "x0": encoded(problem.x0),
            "lower": None if problem.lower is None else encoded(problem.lower),
            "upper": None if problem.upper is None else encoded(problem.upper),
            "jac": _kind(problem.derivatives.jac),
            "constraints": len(problem.constraints),
            "hess": _kind(problem.hess),
            "hessp": problem.hessp is not None,
            **({} if problem.parameters is None else _named(problem.parameters)),
            **({} if problem.loss is None else {"residuals": plain(vars(problem.loss))}),
            **({"shots": Paid.by(settings, True).each} if takes_shots(problem.fun) else {}),
        },
        "functions": {"fun": _reference(problem.fun), "jac": _reference(problem.derivatives.jac)},
        "versions": versions(),
    }


def _named(parameters: Parameters) -> dict[str, Any]:
    """Return the names of what is searched; of other units also what was given, for readers."""
    names = parameters.searched
    if names is None or not parameters.is_stretched:
        return {"names": names}
    return {"names": names, "given": [encoded(each) for each in parameters.given]}


def title_of(header: dict[str, Any]) -> str:
    """Return what the optimizer is called: its class, or the method of one that has many.

    Journals of earlier versions know only the class.
    """
    title: str = header.get("title", header["optimizer"])
    return title


def heading_of(header: dict[str, Any]) -> str:
    """Return the title of a run; of many runs also what ran them, and with which optimizers."""
    many = header.get("many", {})
    if "function" not in many:
        return title_of(header)
    return f"{many['function']}: {', '.join(many.get('optimizers') or [title_of(header)])}"


def versions() -> dict[str, str]:
    """Return the versions that may affect a run's last digits."""
    return {
        "optimizers": __version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version() + " -O" * sys.flags.optimize,
        "system": f"{platform.system()} {platform.machine()}",
    }


def differing(
    found: dict[str, Any], wanted: dict[str, Any], ignored: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return in words which functions have different names, and which parts of the others changed.

    Journals of earlier versions know neither.
    """
    then, now = found.get("identity", {}), wanted["identity"]
    version = [header["versions"]["python"] for header in (found, wanted)]
    # Another version of Python compiles differently, and so does python -O.
    python = [(text.rpartition(".")[0], text.count("-O")) for text in version]
    parts = [
        part
        for part in changed(then, now)
        if part not in ignored and (python[0] == python[1] or not is_code(part))
    ]
    names = []
    for function in then.keys() & now.keys():
        old, new = then[function], now[function]
        is_same = CODE in new["parts"] and old["parts"].get(CODE) == new["parts"][CODE]
        if old["name"] != new["name"] and None not in (old["name"], new["name"]) and not is_same:
            names.append(_words(function, old["name"], new["name"]))
    return names, parts


def check_header(path: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise JournalMismatchError, with the differences, if a journal belongs to another run."""
    differences = list(_differences(found, wanted))
    if not differences:
        return
    shown = [f"  {text}" for text in differences[:_SHOWN]]
    if len(differences) > _SHOWN:
        shown.append(f"  and {len(differences) - _SHOWN} more")
    raise JournalMismatchError(
        f"The journal {path} belongs to another run:\n"
        + "\n".join(shown)
        + "\nName another file as journal, or resume it with the original arguments."
    )


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    """Yield what differs, in words."""
    many = [dict(header.get("many") or {}) for header in (found, wanted)]
    calls = [each.get("function", "minimize") for each in many]
    if calls[0] != calls[1]:
        yield _words("the called function", *calls)
        return
    starts = [each.pop("X0", None) for each in many]
    yield from _entries("many", *many)
    if many[0].get("runs") == many[1].get("runs"):
        yield from _vectors("X0, in one row,", *starts)
    yield from _entries("optimizer", found["optimizer"], wanted["optimizer"])
    yield from _entries("", _determining(found["settings"]), _determining(wanted["settings"]))
    then, now = found["problem"], wanted["problem"]
    if then["n"] != now["n"]:
        yield _words("the number of variables", then["n"], now["n"])
        return
    yield from _entries("names", then.get("names"), now.get("names"))
    for name in ("x0", "lower", "upper"):
        yield from _vectors(name, then[name], now[name])
    for name in ("jac", "constraints", "hess", "hessp"):
        yield from _entries(name, then[name], now[name])
    for name in ("residuals", "shots"):
        yield from _entries(name, then.get(name), now.get(name))
    seeds = compared_seed(found["seed"]), compared_seed(wanted["seed"])
    yield from _entries("seed", *seeds)


def described(optimizer: Any) -> dict[str, Any]:
    """Return the properties of an optimizer that determine the path of its run."""
    return {"optimizer": type(optimizer).__name__, **_determining(plain(optimizer.settings))}


def _determining(settings: dict[str, Any]) -> dict[str, Any]:
    # Options are the same whether given in the constructor or in ``options``.
    flat = {**settings, **(settings.get("options") or {})}
    flat["max_evals_grouped"] = flat.get("max_evals_grouped") or 1
    flat["maximize"] = bool(flat.get("maximize"))
    # Properties of the problem are compared there.
    outside = {*FREE, "options", "constraints", "jac", "hess", "hessp"}
    return {name: value for name, value in flat.items() if name not in outside}


def _entries(name: str, then: Any, now: Any) -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            yield from _entries(f"{name}.{key}" if name else key, then.get(key), now.get(key))
    elif then != now:
        yield _words(name, then, now)


def _vectors(name: str, then: str | None, now: str | None) -> Iterator[str]:
    if then == now:
        return
    if then is None or now is None:
        side = "no bound" if then is None else "bounds"
        yield f"{name} has {side} in the journal, but {'bounds' if then is None else 'none'} now"
        return
    old, new = decoded(then), decoded(now)
    changed = np.flatnonzero(old.view(np.int64) != new.view(np.int64))
    for i in changed[:2]:
        yield _words(f"{name}[{i}]", float(old[i]), float(new[i]))
    if len(changed) > 2:
        yield f"so do {len(changed) - 2} more components of {name}"


def _words(name: str, then: Any, now: Any) -> str:
    return f"{name} is {then!r:.100} in the journal, but {now!r:.100} now"


def plain(value: Any) -> Any:
    """Return the JSON form of a value: itself, a list for an array, or the name of its type.

    A dataclass of this package, such as Differences, becomes a dict of its fields.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else {"number": str(float(value))}
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        known = {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        return {"object": type(value).__name__, **known}
    named = value if inspect.isroutine(value) or isinstance(value, type) else type(value)
    return {"object": f"{named.__module__}.{getattr(named, '__qualname__', named.__name__)}"}


def _kind(derivative: Any) -> Any:
    return "function" if callable(derivative) else plain(derivative)


def _reference(function: Any) -> str | None:
    """Return ``path.py:name`` of a function at the top of a module; None for any other."""
    if isinstance(function, Marked):  # the mark is set again on resuming
        function = function.__wrapped__
    name, module = getattr(function, "__qualname__", None), getattr(function, "__module__", None)
    path = getattr(sys.modules.get(str(module)), "__file__", None)
    if name is None or path is None or getattr(sys.modules[str(module)], name, None) != function:
        return None
    return f"{Path(path).resolve()}:{name}"


def seed_entry(seed: Any) -> dict[str, Any]:
    """Return the header's entry for a run's seed: as given, as drawn, or a generator's state.

    A generator is not advanced.
    """
    if seed is None:
        return {"drawn": int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) >> 1}
    if isinstance(seed, int | np.integer):
        return {"given": int(seed)}
    if isinstance(seed, list | tuple | np.ndarray):
        return {"given": plain(list(seed))}
    generator = np.random.default_rng(copy.deepcopy(seed))
    return {"state": plain(generator.bit_generator.state)}


def compared_seed(entry: dict[str, Any]) -> Any:
    """Return the part of a seed that must be the same when a run is resumed."""
    return entry.get("given", "of a generator" if "state" in entry else None)


def seed_of(entry: dict[str, Any]) -> Any:
    """Return the seed, or the generator with its state, from a header."""
    if "state" not in entry:
        return entry.get("given", entry.get("drawn"))
    state = entry["state"]
    make: Any = getattr(np.random, state["bit_generator"])
    if not (isinstance(make, type) and issubclass(make, np.random.BitGenerator)):
        raise ValueError(
            f"{make!r} is not a bit generator"
        )  # it comes from a file, and must not be called
    bits = make()
    bits.state = _arrays(state)
    return np.random.Generator(bits)


def _arrays(state: Any) -> Any:
    """Return a generator's state with its lists as arrays again."""
    if isinstance(state, dict):
        return {key: _arrays(value) for key, value in state.items()}
    return np.array(state, dtype=np.uint64) if isinstance(state, list) else state


def bounds_of(header: dict[str, Any]) -> list[tuple[float, float]] | None:
    """Return the bounds that a header keeps."""
    lower, upper = (header["problem"][name] for name in ("lower", "upper"))
    if lower is None:
        return None
    return list(zip(decoded(lower).tolist(), decoded(upper).tolist(), strict=True))


def given_of(header: dict[str, Any]) -> tuple[Array, list[tuple[float, float]] | None]:
    """Return start and bounds in the user's units, which a header keeps if others are searched."""
    start, lower, upper = map(decoded, header["problem"]["given"])
    is_bounded = np.isfinite([lower, upper]).any()
    return start, list(zip(lower.tolist(), upper.tolist(), strict=True)) if is_bounded else None


def start_of(header: dict[str, Any]) -> Array:
    """Return the start that a header keeps."""
    return decoded(header["problem"]["x0"])


def sign_of(header: dict[str, Any]) -> float:
    """Return the factor of recorded values that the user sees: -1 if they are maximized."""
    return -1.0 if header["settings"].get("maximize") else 1.0
