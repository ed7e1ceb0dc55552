"""A user's file, and the command line as it is called in tests."""

import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import optimizers
from optimizers.cli import main

SOURCE = """
import numpy as np

print("loaded", flush=True)
points = []


def sphere(x):
    points.append(x)
    return float(((x - 1.0) ** 2).sum())


def gradient(x):
    return 2.0 * (x - 1.0)


def both(x):
    return sphere(x), gradient(x)


def stacked_square(x):
    return ((x - 1.0) ** 2).sum()


def failing(x):
    points.append(x)
    if len(points) > 3:
        raise LookupError("mine")
    return float(x @ x)


def interrupted(x):
    points.append(x)
    if len(points) > 3:
        raise KeyboardInterrupt
    return float(x @ x)


def undefined(x):
    return float("nan")


number = 3
"""


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A user's file, and the directory it lies in."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    (tmp_path / "other.py").write_text("def slope(x):\n    return 2.0 * (x - 1.0)\n")
    return path


@pytest.fixture
def run(capfd):
    """Call the command line, and return its exit code, output and errors."""

    def call(*arguments):
        out = io.StringIO()
        code = main([str(argument) for argument in arguments], out=out)
        captured = capfd.readouterr()
        return SimpleNamespace(code=code, out=out.getvalue(), err=captured.err, std=captured.out)

    return call


@pytest.fixture
def process():
    """Call the command line in a process of its own, and return how that ended."""
    return _process


def _process(*arguments, **further):
    environment = {**os.environ, "PYTHONPATH": str(Path(optimizers.__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, "-m", "optimizers", *arguments],
        text=True,
        env=environment,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **further},
    )
