"""Sphinx configuration. Build with ``python -m sphinx -W docs docs/_build/html``."""

import sys
from importlib.util import find_spec
from pathlib import Path

from sphinx.util import logging

import optimizers

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from _generate import generate, undocumented  # noqa: E402  # lies beside this file

project = "optimizers"
author = "The optimizers developers"
project_copyright = "The optimizers developers, Apache License 2.0"
version = release = optimizers.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "myst_nb",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
default_role = "code"

# Signatures as their users write them; the docstrings tell the types.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # autodoc lists them

# The examples draw the pictures: what a page shows is what its code does.
plot_include_source = True
plot_formats = ["svg"]
plot_html_show_formats = plot_html_show_source_link = False

nitpicky = True
# Other projects' names: without intersphinx the build needs no network.
nitpick_ignore_regex = [("py:.*", r"(scipy|json|collections)\..*")]

# The notebooks have no outputs: they are run here, and what fails or warns in one fails the build.
# Those whose frameworks are not installed are shown as they are.
nb_execution_mode = "force"
nb_execution_in_temp = True  # what they write is not left beside them
nb_execution_raise_on_error = True
nb_execution_timeout = 300  # seconds, of a cell
nb_output_stderr = "warn"
nb_merge_streams = True
_FRAMEWORKS = {"pinn": ("torch",), "vqe": ("qiskit", "qiskit_algorithms")}
nb_execution_excludepatterns = [
    f"{name}.ipynb" for name, needed in _FRAMEWORKS.items() if not all(map(find_spec, needed))
]

html_theme = "furo"
html_title = f"optimizers {version}"


def _generate_reference(app):
    generate(HERE / "reference" / "generated")


def _resolve_bare_name(app, env, node, contnode):
    """Find ``:class:`Evaluator``` wherever it is documented: docstrings name classes alone."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or "." in target or node.get("refspecific"):
        return None
    node["refspecific"] = True
    document = node.get("refdoc", env.docname)
    return env.get_domain("py").resolve_xref(
        env, document, app.builder, node["reftype"], target, node, contnode
    )


def _check_public_names(app, env):
    for name in undocumented({entry[0] for entry in env.get_domain("py").get_objects()}):
        logging.getLogger(__name__).warning("optimizers.%s is public and not documented", name)


def _name_public_bases(app, name, obj, options, bases):
    """Name the public class that a class derives from, through any of the package's own."""
    bases[:] = [_public(base) for base in bases]


def _public(base):
    # NamedTuple and TypedDict are functions, and may be bases all the same.
    return next(b for b in getattr(base, "__mro__", (base,)) if not b.__name__.startswith("_"))


def setup(app):
    app.connect("builder-inited", _generate_reference)
    app.connect("autodoc-process-bases", _name_public_bases)
    app.connect("missing-reference", _resolve_bare_name)
    app.connect("env-check-consistency", _check_public_names)
