"""The optimizers by name."""

from optimizers import fitting, scipy, variational
from optimizers.errors import InvalidInputError, nearest_names
from optimizers.optimizer import Optimizer
from optimizers.support import CAPABILITIES, SupportLevel


def available(**levels: str | SupportLevel) -> dict[str, type[Optimizer]]:
    """Return every optimizer class by its name, sorted.

    Parameters
    ----------
    **levels
        Support levels, or their names, by capability: only classes of that level are returned;
        ``"supported"`` is the level of classes that require it too.

    Returns
    -------
    dict of str to type
        The classes. :class:`SciPyOptimizer`, which is no algorithm by itself, is not among them.

    Examples
    --------
    >>> list(available())[:3]
    ['ADAM', 'AMSGRAD', 'AQGD']
    >>> list(available(residuals="required", constraints="not_supported"))
    ['DOGBOX', 'LM', 'TRF']
    """
    classes = dict(sorted((cls.__name__, cls) for cls in _named().values()))
    for what, level in levels.items():
        known = {member.name: member for member in SupportLevel}
        wanted = known.get(str(getattr(level, "name", level)))
        if what not in CAPABILITIES or wanted is None:
            raise InvalidInputError(
                f"{what}={level!r} is not a level of a capability: expected one of {tuple(known)} "
                f"for one of {CAPABILITIES}."
            )
        classes = {name: cls for name, cls in classes.items() if _has(cls, what, wanted)}
    return classes


def _has(cls: type[Optimizer], what: str, wanted: SupportLevel) -> bool:
    level = cls()._level(what)
    return level >= wanted if wanted == SupportLevel.supported else level == wanted


def _named() -> dict[str, type[Optimizer]]:
    """Return every optimizer class by each of its names."""
    folders = (scipy, fitting, variational)
    public = {name: getattr(folder, name) for folder in folders for name in folder.__all__}
    classes = {k: c for k, c in public.items() if isinstance(c, type) and issubclass(c, Optimizer)}
    del classes["SciPyOptimizer"]
    return classes


def find(name: str) -> type[Optimizer]:
    """Return the optimizer class of a name.

    Parameters
    ----------
    name : str
        The name, in any case, with or without underscores and hyphens: ``"L-BFGS-B"``,
        ``"l_bfgs_b"`` and ``"LBFGSB"`` are one.

    Returns
    -------
    type
        The class. If there is none, an :class:`InvalidInputError` names the nearest.

    Examples
    --------
    >>> find("l-bfgs-b").__name__
    'LBFGSB'
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"name is {name!r}, expected a string: the name of an optimizer.")
    classes = {plain(key): cls for key, cls in _named().items()}
    if plain(name) not in classes:
        raise InvalidInputError(
            f"No optimizer is called {name!r}. {nearest_names(name, available())}"
        )
    return classes[plain(name)]


def plain(name: str) -> str:
    """Return a name in the spelling in which names are compared."""
    return name.replace("-", "").replace("_", "").lower()
