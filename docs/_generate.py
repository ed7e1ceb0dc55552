"""The part of the reference that is made from the classes when the docs are built.

One page a class, and the table of what each class can take. Nothing made here is committed.
"""

from collections.abc import Iterable
from pathlib import Path

import optimizers
from optimizers import Optimizer, available
from optimizers.describe import capabilities
from optimizers.nlopt.methods import METHODS
from optimizers.support import CAPABILITIES


def generate(folder: Path) -> None:
    """Write the pages and the table, and remove those of classes that are gone."""
    texts = {f"{cls.__name__}.rst": _page(cls) for cls in _documented()}
    texts["capabilities.inc"] = _capability_table()
    texts["nlopt.inc"] = _nlopt_table()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        path = folder / name
        # Sphinx reads again what was touched: leave alone what is the same.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def undocumented(documented: set[str]) -> list[str]:
    """Return the public names of the package that are not among the documented ones."""
    return [name for name in optimizers.__all__ if f"optimizers.{name}" not in documented]


def _own() -> dict[str, type[Optimizer]]:
    """Return the classes of this package, without those of installed plug-ins."""
    package = f"{optimizers.__name__}."
    return {k: cls for k, cls in available().items() if cls.__module__.startswith(package)}


def _documented() -> list[type[Optimizer]]:
    """Return all optimizers, and the classes between them and Optimizer."""
    return list(
        dict.fromkeys(
            base
            for cls in _own().values()
            for base in cls.__mro__
            if issubclass(base, Optimizer) and base is not Optimizer and base.__name__[0] != "_"
        )
    )


def _page(cls: type[Optimizer]) -> str:
    name = cls.__name__
    module = "optimizers" if hasattr(optimizers, name) else cls.__module__
    own = [member for member in vars(cls) if member[0] != "_" and not hasattr(Optimizer, member)]
    lines = [
        name,
        "=" * len(name),
        "",
        f".. autoclass:: {module}.{name}",
        "   :show-inheritance:",
        *([f"   :members: {', '.join(own)}"] if own else []),
        "",
    ]
    for alias in _aliases(cls):
        lines += [f".. py:data:: optimizers.{alias}", "", f"   Another name of {_link(cls)}.", ""]
    members = ", ".join(
        f":meth:`~optimizers.Optimizer.{member}`"
        for member in ("minimize", "get_support_level", "set_options", "print_options")
    )
    lines += [
        "Its methods, among them",
        f"{members},",
        "are those of :class:`~optimizers.Optimizer`.",
        "",
    ]
    if _own().get(name) is cls:
        lines += ["What it can take", "----------------", ""]
        lines += [*_table([CAPABILITIES, capabilities(cls)]), ""]
    else:
        children = [child for child in _documented() if cls in child.__mro__[1:]]
        names = sorted(_link(child) for child in children)
        lines += [f"Classes derived from it: {', '.join(names)}.", ""]
    return "\n".join(lines)


def _aliases(cls: type[Optimizer]) -> list[str]:
    return [
        name
        for name in optimizers.__all__
        if getattr(optimizers, name) is cls and name != cls.__name__
    ]


def _capability_table() -> str:
    rows = [(_link(cls), *capabilities(cls)) for cls in _own().values()]
    return "\n".join(_table([("optimizer", *CAPABILITIES), *rows])) + "\n"


def _nlopt_table() -> str:
    """Return the methods of the package nlopt: what each is for, and what it can take."""
    rows = [
        (
            f"``{name}``",
            row.purpose,
            row.levels["bounds"].name,
            row.constraints,
            _literal(row.options),
        )
        for name, row in METHODS.items()
    ]
    head = ("method", "for", "bounds", "constraints", "further options")
    return "\n".join(_table([head, *rows])) + "\n"


def _literal(names: Iterable[str]) -> str:
    return ", ".join(f"``{name}``" for name in names)


def _link(cls: type[Optimizer]) -> str:
    return f":doc:`{cls.__name__} </reference/generated/{cls.__name__}>`"


def _table(rows: list[Iterable[str]]) -> list[str]:
    """Return a table whose first row is the head; underscores become spaces to let it wrap."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        cells = [cell if cell.startswith((":", "``")) else cell.replace("_", " ") for cell in row]
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(cells)]
    return lines
