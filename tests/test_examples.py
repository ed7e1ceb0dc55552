"""The optimizers of the page "An algorithm of your own" keep what all optimizers keep."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from optimizers import testing

EXAMPLES = Path(__file__).parent.parent / "examples"
OWN = {
    name: runpy.run_path(str(EXAMPLES / f"{file}.py"))[name]
    for file, name in {
        "own_flow": "SteepestDescent",
        "own_ask_tell": "Evolution",
        "own_call_back": "Compass",
    }.items()
}


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", OWN)
def test_an_example_passes_the_conformance_suite(name, check):
    check(OWN[name])


@pytest.mark.parametrize("name", OWN)
def test_an_example_finds_the_minimum(name):
    result = testing.run(OWN[name](), testing.Bowl())
    assert result.success
    assert result.x == pytest.approx(np.array([0.5, -0.25, 0.1]), abs=1e-3)


def test_a_flow_is_at_most_thirty_lines():
    _, flow = (EXAMPLES / "own_flow.py").read_text().split("class SteepestDescent")
    assert len(flow.splitlines()) <= 30


def test_the_decay_is_fitted_and_drawn(tmp_path):
    example = runpy.run_path(str(EXAMPLES / "fit_decay.py"))
    fit, profiles = example["picture"](tmp_path / "decay.svg")
    assert fit.x == pytest.approx(np.array(example["DATA"].certified), rel=1e-5)
    assert (profiles.interval[:, 0] < fit.x).all()
    assert (tmp_path / "decay.svg").read_text().startswith("<?xml")
