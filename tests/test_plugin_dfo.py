"""The example of a plug-in, where it is installed: found by its entry points, and conforming."""

import importlib.metadata
import subprocess
import sys

import numpy as np
import pytest
import scipy.optimize

from optimizers import OptimizerError, available, find, minimize, registry, residuals, testing

pytest.importorskip("optimizers_dfo", reason="needs the plug-in: ./examples/plugin_dfo")

BOTH = pytest.mark.parametrize("name", ["DFOLS", "PyBOBYQA"])
SOLUTION = np.array([0.5, -0.25, 0.1])


@pytest.fixture(autouse=True)
def _plugins(monkeypatch):
    monkeypatch.setattr(registry, "entry_points", importlib.metadata.entry_points)
    registry._plugins.cache_clear()
    registry._imported.cache_clear()
    yield
    registry._plugins.cache_clear()
    registry._imported.cache_clear()


def bowl(x):
    """Return residuals whose half sum of squares has its minimum, 1, at the solution."""
    return np.concatenate([np.sqrt([2.0, 4.0, 6.0]) * (x - SOLUTION), [1.0, 1.0]])


def fun_of(name):
    return bowl if name == "DFOLS" else lambda x: 0.5 * bowl(x) @ bowl(x)


def test_the_command_line_checks_it():
    command = [sys.executable, "-m", "optimizers", "check", "optimizers_dfo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"{2 * len(testing.CHECKS)} passed\n")


def test_it_is_listed_by_what_it_can():
    assert "DFOLS" in available(residuals="required", noise=True)
    assert "PyBOBYQA" in available(bounds="supported", gradient="ignored", noise=True)
    assert find("py-bobyqa").__name__ == "PyBOBYQA"


@BOTH
def test_it_minimizes_by_name(name):
    result = minimize(fun_of(name), [-0.8, 1.3, 0.4], method=name, maxfun=200)
    assert result.method == name
    assert result.success
    assert result.stop.name == "STEP"
    assert result.x == pytest.approx(SOLUTION, abs=1e-5)


@BOTH
def test_bounds_may_fix_a_variable_or_leave_little_room(name):
    bounds = [(0, 0), (None, 0.5), (0.4, 0.4001)]
    result = minimize(fun_of(name), [0, 0.2, 0.4], method=name, bounds=bounds)
    assert result.success
    assert result.x == pytest.approx(np.array([0, -0.25, 0.4]), abs=1e-5)


@BOTH
@pytest.mark.parametrize("noise", [1e-3, "estimate"])
def test_noise_ends_it_and_the_seed_of_numpy_is_not_touched(name, noise):
    rng, before = np.random.default_rng(3), np.random.get_state()[1].copy()
    fun = fun_of(name)
    result = minimize(
        lambda x: fun(x) + 1e-3 * rng.normal(),
        [-0.8, 1.3, 0.4],
        method=name,
        noise=noise,
        maxfun=400,
    )
    assert result.stop.name in ("NOISE", "MAXFUN")
    assert np.linalg.norm(result.x - SOLUTION) < 0.1
    assert (np.random.get_state()[1] == before).all()


def test_a_loss_is_minimized_as_scipy_does():
    t = np.linspace(0, 3, 10)
    data = 2 * np.exp(-0.5 * t) + np.where(np.arange(10) == 4, 3.0, 0.0)

    def misfit(x):
        return x[0] * np.exp(-x[1] * t) - data

    expected = scipy.optimize.least_squares(misfit, [1.0, 1.0], loss="soft_l1")
    result = minimize(residuals(misfit, loss="soft_l1"), [1.0, 1.0], method="DFOLS")
    assert result.x == pytest.approx(expected.x, abs=1e-4)
    assert result.fun == pytest.approx(expected.cost, rel=1e-6)


@BOTH
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rhobeg": 1e-9}, "rhobeg is 1e-09, expected more than rhoend"),
        ({"user_params": {"no.such": 1}}, "user_params has 'no.such', expected some of"),
        ({"user_params": 3}, "user_params is 3, expected a dict"),
        ({"npt": 100}, "cannot start"),
    ],
)
def test_an_option_that_cannot_be_used_is_named_before_the_first_point(name, options, words):
    if name == "DFOLS" and "npt" in options:
        options = {"npt": 2}  # fewer than n + 1; more are possible
    points = []
    with pytest.raises(OptimizerError, match=words):
        minimize(points.append, [0.0, 0.0, 0.0], method=name, options=options)
    assert not points
