"""What is printed fits a screen, however large the problem, and notebooks show tables."""

import html.parser

import numpy as np
import pytest

import optimizers
from optimizers import (
    BFGS,
    LBFGSB,
    NELDER_MEAD,
    SPSA,
    AskData,
    History,
    Journal,
    OptimizerResult,
    SteppableOptimizer,
    StopReason,
    TellData,
    load,
    multistart,
    race,
    residuals,
)
from optimizers.flow import Step, Told, ended

N = 900  # NumPy prints a thousand numbers, and leaves none out


def sphere(x):
    return float(x @ x), 2 * x


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """One of each that is public and printed."""
    path, history = tmp_path_factory.mktemp("run") / "run.jsonl", History()
    start = np.linspace(1, 2, N)
    result = LBFGSB(maxiter=3).minimize(sphere, start, jac=True, callback=history, journal=path)
    rng = np.random.default_rng(1)
    recording = load(path)
    stepper = LBFGSB().stepper(start, jac=True)
    many = LBFGSB().minimize_many(sphere, rng.normal(size=(100, 3)), jac=True)
    found = multistart(
        lambda x: float(np.sin(5 * x).sum()), [(-3, 3)] * 3, budget=2500, agreement=False, seed=1
    )
    fit = LBFGSB().minimize(residuals(lambda p: p[0] * np.arange(float(N))), [1.0])
    known = [
        *(result, BFGS(maxiter=2).minimize(sphere, start, jac=True), fit, OptimizerResult()),
        NELDER_MEAD(maxiter=3).minimize(lambda x: float(x @ x), np.arange(30.0)),
        *(many, found, found.minima[0], race([LBFGSB(), NELDER_MEAD()], sphere, [1.0], jac=True)),
        *(recording, recording.records[0], history, history.evaluations[0], history.states[0]),
        *(stepper, stepper.state, stepper.ask(), result.best, Journal("run.jsonl")),
        *(TellData([1.0], [start]), AskData(start), Step(start), Told(1.0, start)),
        *(ended(start, StopReason.FUN), SPSA(initial_hessian=np.eye(30), second_order=True)),
        *(LBFGSB(), SteppableOptimizer(LBFGSB()), optimizers.problems.h2()),
    ]
    return known


def test_all_that_is_printed_fits_a_screen(things):
    for thing in things:
        text = repr(thing)
        assert text.count("\n") < 30, type(thing)
        assert len(text) < 4000, type(thing)
        assert max(map(len, text.splitlines())) < 400, type(thing)


class Tags(html.parser.HTMLParser):
    """Checks that tags are closed in the order of their opening."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text = [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + "\n"


def test_a_notebook_shows_the_same_as_a_table(things):
    shown = [thing for thing in things if hasattr(thing, "_repr_html_")]
    names = {type(thing).__name__ for thing in shown}
    assert names >= {"OptimizerResult", "OptimizerResults", "MultistartResult", "RaceResults"}
    assert names >= {"Recording", "LBFGSB", "SPSA"}
    for thing in shown:
        assert len(Tags(thing._repr_html_()).text) < 8000


def test_many_lines_are_cut_and_say_how_many_more(things):
    many = next(thing for thing in things if isinstance(thing, optimizers.OptimizerResults))
    assert repr(many).splitlines()[-1] == "... and 80 more"
    assert "... and 80 more" in many._repr_html_()
    assert len(repr(many[:3]).splitlines()) == 4


def test_numbers_in_a_dict_have_as_many_digits_as_those_of_an_array():
    start = {"a": 1.0, "b": np.array([1.0, 2.0])}
    result = LBFGSB().minimize(lambda p: (p["a"] - 1 / 3) ** 2 + sum((p["b"] - 2 / 3) ** 2), start)
    assert "x: {'a': 0.333333, 'b': [0.666667 0.666667]}" in repr(result)
    found = multistart(lambda p: (p["a"] - 1 / 3) ** 2, {"a": (0, 1)}, budget=500, seed=1)
    assert "{'a': 0.333333}" in repr(found)


def test_what_is_shown_of_a_result_in_html_is_escaped():
    result = OptimizerResult(message="<b>x</b>", success=True, stop=StopReason.GRADIENT)
    text = result._repr_html_()
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;" in text
    assert "<b>Converged</b>: the (projected) gradient" in text


def test_a_recording_says_what_it_is_of_and_how_it_ended(things, tmp_path):
    recording = next(thing for thing in things if isinstance(thing, optimizers.journal.Recording))
    assert "Recording of LBFGSB, ended: " in repr(recording)

    def failing(x):
        raise LookupError("mine")

    with pytest.raises(LookupError):
        LBFGSB().minimize(failing, [1.0], journal=tmp_path / "run.jsonl")
    assert "ended by an error: LookupError: mine" in repr(load(tmp_path / "run.jsonl"))
