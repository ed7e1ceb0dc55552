"""What all tests and examples share.

Examples that need an extra are skipped where it is not installed, and say which. The tests are
about the classes of this package, whatever plug-ins are installed.
"""

import importlib.util

import pytest

from optimizers import registry

registry.entry_points = lambda group: ()  # before tests are collected: some have one case a class

# Of each extra, a module that it brings, and no other extra: the one `bench` brings part of qiskit.
EXTRAS = {
    "jax": "jax",
    "pennylane": "pennylane",
    "qiskit": "qiskit_machine_learning",
    "tensorflow": "tensorflow",
    "torch": "torch",
}
# Without examples, and they import the framework at their top.
collect_ignore_glob = (
    [] if importlib.util.find_spec("tensorflow") else ["optimizers/external/tensorflow/*"]
)


def pytest_collection_modifyitems(items):
    """Mark the examples that cannot run."""
    missing = [name for name, module in EXTRAS.items() if not importlib.util.find_spec(module)]
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            for name in missing:
                # optimizers/external/<extra>/, docs/external_<extra>.rst, docs/gallery_<extra>.rst
                if name in item.path.parts or item.path.stem.endswith(f"_{name}"):
                    item.add_marker(pytest.mark.skip(reason=f"needs the extra: {name}"))
