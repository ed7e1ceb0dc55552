import ast
import importlib
import os
import pickle
import subprocess
import sys
import tomllib
import typing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import optimizers

ROOT = Path(optimizers.__file__).parent.parent


def in_a_new_process(code):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", optimizers.__all__)
def test_every_public_name_exists(name):
    assert getattr(optimizers, name) is not None


def test_public_names_are_sorted_and_unique():
    assert optimizers.__all__ == sorted(set(optimizers.__all__))


def test_the_names_of_scipys_algorithms_are_public():
    assert set(optimizers.scipy.__all__) < set(optimizers.__all__)


def imported_for_type_checkers():
    """Return what the package imports under TYPE_CHECKING: each name, and the module it is in."""
    tree = ast.parse(Path(optimizers.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    found = {}
    for node in block.body:
        if node.module == "optimizers":  # a module of it
            continue
        for alias in node.names:
            names = [alias.name]
            if alias.name == "*":
                names = importlib.import_module(node.module).__all__
            else:
                assert alias.asname == alias.name  # or it is not public to them
            found |= dict.fromkeys(names, node.module)
    return found


def test_every_name_that_editors_and_type_checkers_see_is_public():
    assert sorted(imported_for_type_checkers()) == optimizers.__all__


@pytest.mark.parametrize(("name", "module"), imported_for_type_checkers().items())
def test_a_name_is_what_editors_and_type_checkers_take_it_for(name, module):
    assert getattr(optimizers, name) is getattr(importlib.import_module(module), name)


def test_a_program_waits_only_for_the_families_that_it_uses():
    code = """
import sys
import optimizers
print(*(name for name in ("scipy", "numpy", "optimizers.optimizer") if name in sys.modules))
from optimizers import LBFGSB
rare = ["asyncio", "multiprocessing", "sqlite3", "optimizers.variational", "optimizers.several"]
print(*(name for name in rare if name in sys.modules))
"""
    assert in_a_new_process(code).split() == []


def test_public_names_and_modules_are_listed_and_need_no_import_of_their_own():
    modules = ["algorithms", "errors", "external", "flow", "plots", "problems", "testing"]
    modules += ["evaluation", "journal", "scipy", "variational"]
    code = f"""
import optimizers
assert set(dir(optimizers)) >= {{*optimizers.__all__, *{modules}, "__version__"}}
for name in {modules}:
    assert getattr(optimizers, name).__name__ == "optimizers." + name
"""
    assert in_a_new_process(code) == ""


def test_a_class_is_pickled_and_found_in_a_program_that_has_not_asked_for_it():
    pickled = pickle.dumps(optimizers.GSLS(maxiter=3))
    code = f"""
import pickle
import optimizers
print(pickle.loads({pickled!r}).settings["maxiter"], "GSLS" in optimizers.available())
"""
    assert in_a_new_process(code).split() == ["3", "True"]


def test_a_name_that_does_not_exist_is_an_error_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'optimizers' has no attribute 'LBFGS'"):
        _ = optimizers.LBFGS
    with pytest.raises(ImportError, match="cannot import name 'LBFGS' from 'optimizers'"):
        exec("from optimizers import LBFGS")


@pytest.mark.parametrize(
    "module", ["scipy", "evaluation", "external", "flow", "problems", "testing"]
)
def test_the_names_of_each_folder_exist(module):
    folder = importlib.import_module(f"optimizers.{module}")
    assert all(hasattr(folder, name) for name in folder.__all__)


def test_a_star_import_brings_the_public_names():
    namespace = {}
    exec("from optimizers import *", namespace)
    assert set(optimizers.__all__) <= set(namespace)


def test_import_brings_no_third_party_module_besides_numpy_and_scipy():
    code = """
import sys
import numpy, scipy.optimize, typing_extensions
before = {name.partition(".")[0] for name in sys.modules}
from optimizers import *
after = {name.partition(".")[0] for name in sys.modules}
print(*sorted(after - before - sys.stdlib_module_names))
"""
    # Compiled modules of SciPy's own come with names such as _cython_3_1_4.
    brought = {name for name in in_a_new_process(code).split() if not name.startswith("_")}
    assert brought == {"optimizers"}


def test_import_has_no_effect_on_warnings_random_numbers_or_printing():
    code = """
import random, warnings
import numpy as np
import scipy.optimize
filters = list(warnings.filters)
state, legacy = random.getstate(), np.random.get_state()[1].copy()
errors, shown = np.geterr(), np.get_printoptions()
from optimizers import *
assert filters == list(warnings.filters)
assert state == random.getstate() and (legacy == np.random.get_state()[1]).all()
assert (errors, shown) == (np.geterr(), np.get_printoptions())
"""
    assert in_a_new_process(code) == ""


def test_a_point_is_a_number_or_an_array():
    number, array = typing.get_args(optimizers.POINT)
    assert number is float
    # NumPy 2.5 makes NDArray an alias of its own.
    assert typing.get_origin(array) in (np.ndarray, npt.NDArray)


def test_qiskits_other_names_are_the_same_things():
    assert optimizers.L_BFGS_B is optimizers.LBFGSB
    assert optimizers.OptimizerSupportLevel is optimizers.SupportLevel


def test_the_version_is_that_of_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert optimizers.__version__ == project["version"]
    assert project["name"] == "variational-optimizers"


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "optimizers" / "py.typed").is_file()


# The layers, from the ground up: a module imports from its own row and from those above it in this
# list. A folder is one name.
LAYERS = [
    {
        "errors",
        "result",
        "support",
        "covariance",
        "_arrays",
        "_shown",
        "_statistics",
        "_types",
        "_version",
        "_words",
    },
    {"gradients"},
    {"evaluation"},
    {"problems"},
    {"problem"},
    {"run"},
    {"noise"},
    {"journal"},
    {"asktell"},
    {"lockstep"},
    {"options"},
    {"composition"},
    {"profiling"},
    {"many"},
    {"optimizer"},
    {"flow"},
    {"native"},
    {"scipy"},
    {"fitting", "variational", "nlopt", "search"},
    {"external"},
    {"steppable", "several"},
    {"registry"},
    {"_choice"},
    {"describe", "_minimize", "_check_gradient", "algorithms"},
    {"plots", "report", "benchmark"},
    {"testing"},
    {"cli"},
    {"__init__"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def module_names():
    """Return the path of each module of the package by its dotted name."""
    paths = {}
    for path in (ROOT / "optimizers").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return paths


def imports_of_the_package():
    """Return what each module imports of the package, for types alone included."""
    paths = module_names()
    found = {}
    for name, path in paths.items():
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                package = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
                source = ".".join([*package, *([node.module] if node.module else [])])
                imported |= {
                    whole if (whole := f"{source}.{alias.name}") in paths else source
                    for alias in node.names
                }
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
        found[name] = {other for other in imported if other.split(".")[0] == "optimizers"}
    return found


def layer(module):
    parts = module.split(".")
    return RANK[parts[1] if len(parts) > 1 else "__init__"]


def test_every_module_has_a_layer_and_imports_from_its_own_or_a_lower_one():
    upward = [
        f"{module} imports {other}"
        for module, imported in imports_of_the_package().items()
        for other in imported
        if layer(other) > layer(module)
    ]
    assert not upward


def test_no_modules_import_each_other_in_a_circle():
    left = imports_of_the_package()
    while ready := {module for module, imported in left.items() if not imported & left.keys()}:
        for module in ready:
            del left[module]
    assert not left, f"in a circle, or above one: {sorted(left)}"


def test_no_import_hides_in_a_string():
    hidden = [
        module
        for module, path in module_names().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")
        if "optimizers" in ast.unparse(node)
    ]
    assert set(hidden) == {"optimizers"}  # what it imports so, it imports for types too


def changed_attributes(tree):
    """Return all attributes that are assigned to, such as ``run.budget.nfev``."""
    kinds = ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            many = isinstance(node, ast.Assign | ast.Delete)
            targets = [*node.targets] if many else [node.target]
            while targets:
                target = targets.pop()
                if isinstance(target, ast.Tuple | ast.List):
                    targets.extend(target.elts)
                elif isinstance(target, ast.Attribute):
                    yield target


def test_only_the_run_changes_its_two_states():
    for module, path in module_names().items():
        if not module.startswith("optimizers.run."):
            for attribute in changed_attributes(ast.parse(path.read_text())):
                owner = ast.unparse(attribute.value).rpartition(".")[2]
                assert owner not in ("budget", "memory", "run"), f"{path}:{attribute.lineno}"


def test_only_what_stands_above_it_names_the_optimizer():
    above = layer("optimizers.optimizer")
    for module, path in module_names().items():
        if layer(module) < above:
            names = {
                node.id
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Name)
            }
            assert "Optimizer" not in names, path
