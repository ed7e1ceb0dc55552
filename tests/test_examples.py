"""The optimizers of the page "An algorithm of your own" keep what all optimizers keep."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from optimizers import testing
from tests import readme_picture

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


@pytest.fixture
def pyplot(monkeypatch):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    monkeypatch.setenv("MPLBACKEND", "agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_the_decay_is_fitted_and_drawn(pyplot):
    example = runpy.run_path(str(EXAMPLES / "fit_decay.py"))
    fit, profiles = example["picture"]()
    assert fit.x == pytest.approx(np.array(example["DATA"].certified), rel=1e-5)
    assert (profiles.interval[:, 0] < fit.x).all()
    assert len(pyplot.gcf().get_axes()) == 5


def test_the_picture_of_the_readme_is_what_its_example_draws(pyplot, tmp_path):
    kept = readme_picture.KEPT.read_text()
    if readme_picture.made_by() not in kept:
        pytest.skip("drawn with other versions")
    readme_picture.draw(tmp_path / "convergence.svg")
    number = re.compile(r"-?\d+\.\d+")
    drawn = (tmp_path / "convergence.svg").read_text()
    what_to_do = "run python -m tests.readme_picture"
    assert number.sub("#", drawn) == number.sub("#", kept), what_to_do
    np.testing.assert_allclose(
        [float(x) for x in number.findall(drawn)],
        [float(x) for x in number.findall(kept)],
        atol=0.5,
        err_msg=what_to_do,
    )
