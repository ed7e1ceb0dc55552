"""Examples that need an extra are skipped where it is not installed, and say which."""

import importlib.util

import pytest

FRAMEWORKS = ("jax", "tensorflow", "torch")


def pytest_collection_modifyitems(items):
    """Mark the examples that cannot run."""
    missing = [name for name in FRAMEWORKS if importlib.util.find_spec(name) is None]
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            for name in missing:
                # optimizers/external/<framework>/ and docs/external_<framework>.rst
                if name in item.path.parts or item.path.stem.endswith(f"_{name}"):
                    item.add_marker(pytest.mark.skip(reason=f"needs the extra: {name}"))
