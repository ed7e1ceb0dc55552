"""The optimizers by name and by capability."""

import functools
import re
from importlib.metadata import EntryPoint, entry_points
from typing import TypeAlias

import numpy as np

from optimizers import fitting, native, nlopt, scipy, search, variational
from optimizers.errors import InvalidInputError, nearest_names, warn_user, words_of
from optimizers.optimizer import Optimizer
from optimizers.support import TRAITS, SupportLevel

#: The entry point group in which installed packages name their classes.
GROUP = "optimizers.algorithms"
#: A support level, or its name.
Level: TypeAlias = str | SupportLevel


def available(
    *,
    gradient: Level | None = None,
    bounds: Level | None = None,
    initial_point: Level | None = None,
    constraints: Level | None = None,
    hessian: Level | None = None,
    residuals: Level | None = None,
    noise: bool | None = None,
    parallel: bool | None = None,
    global_search: bool | None = None,
    random: bool | None = None,
) -> dict[str, type[Optimizer]]:
    """Return the optimizer classes that meet all conditions, sorted by name.

    Parameters
    ----------
    gradient, bounds, initial_point, constraints, hessian, residuals : str or SupportLevel, optional
        Support levels, or their names: only classes of that level are returned; ``"supported"``
        includes classes that require it.
    noise, parallel, global_search, random : bool, optional
        Only classes that handle noise, that ask for several points at a time, that search beyond
        the nearest minimum, or that draw random numbers; with False, only those that do not.

    Returns
    -------
    dict of str to type
        The classes; the attribute ``traits`` of each says what it is for. Those of other installed
        packages are listed by the names of their entry points. :class:`SciPyOptimizer`, which is
        not an algorithm by itself, is not included; :class:`NLopt` is, if one of its methods meets
        all conditions.

    Examples
    --------
    >>> list(available())[:3]
    ['ADAM', 'AMSGRAD', 'AQGD']
    >>> list(available(residuals="required", constraints="not_supported"))
    ['DOGBOX', 'LM', 'TRF']
    >>> for name, cls in available(noise=True, random=False, residuals="supported").items():
    ...     print(f"{name}: {cls.traits.purpose}")
    ICANS: Circuits that are paid by the shot, also with hundreds of angles.
    ImFil: Rough or noisy values, best within bounds: differences over decreasing scales.
    LM: Fits: residuals, with or without bounds, up to a thousand variables; first to try.
    NFT: Circuits whose values are sinusoids of each angle; shots, small budgets.
    NoisyLBFGSB: Smooth functions seen through noise, such as shots: the best end by waves.
    """
    asked = {what: level for what, level in locals().items() if level is not None}
    own = {cls.__name__: cls for cls in _own().values()}
    classes = dict(sorted({**_imported(), **own}.items()))
    if not asked:
        return classes
    kinds = [(name, kind) for name, cls in classes.items() for kind in cls._kinds().values()]
    for what, level in asked.items():
        if what in TRAITS:
            if not isinstance(level, bool | np.bool_):
                raise InvalidInputError(f"{what} is {level!r}, expected True or False.")
            kinds = [(name, kind) for name, kind in kinds if getattr(kind.traits, what) == level]
            continue
        known = {member.name: member for member in SupportLevel}
        wanted = known.get(str(getattr(level, "name", level)))
        if wanted is None:
            raise InvalidInputError(f"{what} is {level!r}, expected one of {tuple(known)}.")
        kinds = [(name, kind) for name, kind in kinds if _has(kind, what, wanted)]
    return {name: classes[name] for name, _ in kinds}


def _has(kind: Optimizer, what: str, wanted: SupportLevel) -> bool:
    level = kind._level(what)
    return level >= wanted if wanted == SupportLevel.supported else level == wanted


def _own() -> dict[str, type[Optimizer]]:
    """Return the classes of this package by each of their names."""
    folders = (scipy, native, nlopt, fitting, search, variational)
    public = {name: getattr(folder, name) for folder in folders for name in folder.__all__}
    classes = {k: c for k, c in public.items() if isinstance(c, type) and issubclass(c, Optimizer)}
    del classes["SciPyOptimizer"]
    return classes


@functools.cache
def _plugins() -> dict[str, EntryPoint]:
    """Return the entry points of installed packages by their names, without any import.

    One whose name is taken is skipped with a warning, once.
    """
    points: dict[str, EntryPoint] = {}
    taken = set(map(plain, _own()))
    for point in entry_points(group=GROUP):
        if plain(point.name) in taken:
            _warn_skipped(point.name, "another optimizer has that name")
        else:
            points[point.name] = point
            taken.add(plain(point.name))
    return points


def plugins_of(package: str) -> list[str]:
    """Return the names of the entry points whose classes are in a package."""
    points = _plugins().items()
    return [name for name, point in points if f"{point.module}.".startswith(f"{package}.")]


@functools.cache
def _imported() -> dict[str, type[Optimizer]]:
    """Return the classes of installed packages by the names of their entry points.

    A broken one is skipped with a warning, once.
    """
    classes = {}
    for name, point in _plugins().items():
        loaded = _loaded(point)
        if isinstance(loaded, str):
            _warn_skipped(name, loaded)
        else:
            classes[name] = loaded
    return classes


@functools.cache
def _loaded(point: EntryPoint) -> type[Optimizer] | str:
    """Import and return the class of an entry point, or say what is wrong with it."""
    try:
        cls = point.load()
        if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
            return f"it is {cls!r}, expected a class of optimizers"
        cls().get_support_level()  # which every list of classes asks for
    except Exception as error:  # whatever a package raises on import
        return words_of(error)
    return cls


def _warn_skipped(name: str, wrong: str) -> None:
    warn_user(
        f"The entry point {name!r} of an installed package, in the group {GROUP!r}, is skipped: "
        f"{wrong}."
    )


def find(name: str) -> type[Optimizer]:
    """Return the optimizer class of a name.

    Parameters
    ----------
    name : str
        The name, in any case, with or without underscores, hyphens and spaces: ``"L-BFGS-B"``,
        ``"l_bfgs_b"`` and ``"LBFGSB"`` are one. Also the name of an entry point in the group
        ``optimizers.algorithms`` of an installed package, or of its class. Only that package is
        imported, and only if no class here has the name. Behind a colon, the name of a method that
        the class has: ``"nlopt:LD_LBFGS"``.

    Returns
    -------
    type
        The class. If there is none, an :class:`InvalidInputError` names the nearest one; if that of
        an installed package cannot be imported, it says why.

    Examples
    --------
    >>> find("l-bfgs-b").__name__
    'LBFGSB'
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"name is {name!r}, expected a string: the name of an optimizer.")
    family, colon, kind = name.partition(":")
    cls = _named(family)
    if colon:
        _kind(cls, kind)
    return cls


def made(name: str) -> Optimizer:
    """Return an optimizer with its default options, by a name as :func:`find` has it."""
    cls, (_, colon, kind) = find(name), name.partition(":")
    return _kind(cls, kind) if colon else cls()


def _named(name: str) -> type[Optimizer]:
    """Return the class of a name, or raise an error that names the nearest one."""
    own = {plain(key): cls for key, cls in _own().items()}
    own.setdefault(plain("Levenberg-Marquardt"), fitting.LM)
    if plain(name) in own:
        return own[plain(name)]
    plugins = _plugins()
    # Journals name the class.
    points = {plain(point.attr): point for point in plugins.values()}
    points.update({plain(key): point for key, point in plugins.items()})
    if plain(name) not in points:
        known = sorted({*(cls.__name__ for cls in own.values()), *plugins})
        raise InvalidInputError(f"No optimizer is called {name!r}. {nearest_names(name, known)}")
    loaded = _loaded(points[plain(name)])
    if isinstance(loaded, str):
        raise InvalidInputError(
            f"The optimizer {name!r} of an installed package cannot be used: {loaded}."
        )
    return loaded


def _kind(cls: type[Optimizer], name: str) -> Optimizer:
    """Return the optimizer of a class that is of a kind, or raise an error."""
    kinds = cls._kinds()
    found = {plain(kind): optimizer for kind, optimizer in kinds.items()}.get(plain(name))
    if found is None or not name:
        hint = nearest_names(name, filter(None, kinds))
        raise InvalidInputError(f"{cls.__name__} has no method {name!r}. {hint}")
    return found


def plain(name: str) -> str:
    """Return the canonical spelling of a name, for comparisons."""
    return re.sub(r"[-_\s]", "", name).lower()
