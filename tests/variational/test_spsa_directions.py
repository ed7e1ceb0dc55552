"""Against Qiskit in several variables, which is given the directions that are drawn here."""

import numpy as np
import pytest

from optimizers import QNSPSA, SPSA
from optimizers.problem.problem import Problem
from optimizers.variational.perturbations import _directions
from tests.making import fidelity

START = np.array([0.4, -1.1, 0.8, 2.0])
MAXITER = 15


def fun(x):
    return float(np.sum(np.cos(x)) + 0.3 * np.cos(x[0] - x[1]) * np.sin(x[2] + x[3]))


def directions(options, is_second_order):
    """Yield the directions of a run of seed 5, in the order in which Qiskit asks for them."""
    problem, rng = Problem(fun, START), np.random.default_rng(5)
    if "learning_rate" not in options:
        yield from _directions(problem, rng, 25, None)
    given = options.get("resamplings", 1)
    for k in range(1, MAXITER + 1):
        count = given.get(k, 1) if isinstance(given, dict) else given
        for _ in range(1 + is_second_order):
            yield from _directions(problem, rng, count, options.get("perturbation_dims"))


RATES = {"learning_rate": lambda: iter(0.3 / k**0.6 for k in range(1, 99)), "perturbation": 0.1}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SPSA", {}),
        ("SPSA", {"blocking": True, "last_avg": 3}),
        ("SPSA", {"resamplings": {2: 3, 5: 4}, "perturbation_dims": 2, **RATES}),
        ("SPSA", {"trust_region": True, "blocking": True, "allowed_increase": 0.0, **RATES}),
        ("SPSA", {"second_order": True, "resamplings": 2}),
        ("SPSA", {"second_order": True, "perturbation_dims": 3, "hessian_delay": 4, **RATES}),
        ("SPSA", {"second_order": True, "initial_hessian": 2 * np.eye(4), "trust_region": True}),
        ("QNSPSA", {}),
        ("QNSPSA", {"resamplings": 3, "regularization": 0.1, "allowed_increase": 0.01}),
        ("QNSPSA", {"blocking": False, "perturbation_dims": 2, **RATES}),
    ],
)
def test_steps_are_those_of_qiskit(monkeypatch, name, options):
    theirs = pytest.importorskip("qiskit_algorithms.optimizers", reason="needs the extra: qiskit")
    first = (fidelity,) if name == "QNSPSA" else ()
    drawn = directions(options, name == "QNSPSA" or options.get("second_order", False))
    monkeypatch.setattr(theirs.spsa, "bernoulli_perturbation", lambda *_: next(drawn))
    found = []
    for cls in ({"SPSA": SPSA, "QNSPSA": QNSPSA}[name], getattr(theirs, name)):
        rows = []
        optimizer = cls(
            *first,
            maxiter=MAXITER,
            callback=lambda nfev, x, value, size, accepted, rows=rows: rows.append(
                (*x, value, size, accepted)
            ),
            **options,
        )
        seed = {"seed": 5} if cls.__module__.startswith("optimizers") else {}
        result = optimizer.minimize(fun, START.copy(), **seed)
        found.append((np.array(rows, dtype=float), result.x))
    assert next(drawn, None) is None  # as many directions
    # Slopes are divided by the distance in floating point, not by twice the step: 1e-15 / 0.1 in
    # each, which curvature takes to the square and steps pass on.
    for ours, other in zip(*found, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-8, atol=1e-9)
