"""The optimizers by name."""

from optimizers import scipy, variational
from optimizers.errors import InvalidInputError, nearest_names
from optimizers.optimizer import Optimizer


def available() -> dict[str, type[Optimizer]]:
    """Return every optimizer class by its name, sorted.

    Returns
    -------
    dict of str to type
        The classes. :class:`SciPyOptimizer`, which is no algorithm by itself, is not among them.

    Examples
    --------
    >>> list(available())[:3]
    ['ADAM', 'AMSGRAD', 'AQGD']
    """
    return dict(sorted((cls.__name__, cls) for cls in _named().values()))


def _named() -> dict[str, type[Optimizer]]:
    """Return every optimizer class by each of its names."""
    folders = (scipy, variational)
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
    classes = {_plain(key): cls for key, cls in _named().items()}
    if _plain(name) not in classes:
        raise InvalidInputError(
            f"No optimizer is called {name!r}. {nearest_names(name, available())}"
        )
    return classes[_plain(name)]


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()
