"""What met users in their first minutes: each was a surprise once."""

import asyncio
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import optimizers
from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    TNC,
    InvalidInputError,
    InvalidValueError,
    JournalError,
    OptimizerResult,
    OptionError,
    SciPyOptimizer,
    StopReason,
    UnknownOptionError,
    load,
    multistart,
    race,
    vectorized,
)
from optimizers.cli.main import main

BOX = [(-1.0, 1.0)]


def test_a_result_of_several_arrays_goes_through_json(tmp_path):
    path = tmp_path / "run.jsonl"
    result = NELDER_MEAD().minimize(rosen, [1.3, 0.7], journal=path)
    again = OptimizerResult.from_dict(result.to_dict())
    for ours, theirs in zip(again.final_simplex, result.final_simplex, strict=True):
        assert (ours == theirs).all()
    assert load(path).result.fun == result.fun


@pytest.mark.parametrize("workers", [None, 2])
def test_the_command_line_sends_a_files_function_to_workers(tmp_path, capsys, workers):
    (tmp_path / "bowl.py").write_text("def bowl(x):\n    return float(x @ x)\n")
    arguments = ["minimize", "--fun", f"{tmp_path}/bowl.py:bowl", "--x0", "1,2"]
    code = main([*arguments, *([] if workers is None else ["-o", f"workers={workers}"])])
    assert code == 0, capsys.readouterr()


def test_a_function_that_processes_cannot_find_is_named(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "sys.modules['cloudpickle'] = None\n"
        "from optimizers import LBFGSB, InvalidInputError\n"
        "if __name__ == '__main__':\n"
        "    def f(x):\n"
        "        return float(x @ x)\n"
        "    try:\n"
        "        LBFGSB(workers=2).minimize(f, [1.0, 2.0])\n"
        "    except InvalidInputError as error:\n"
        "        print(error)\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("fun is <function f")
    assert "pip install cloudpickle" in run.stdout


def test_a_picture_that_cannot_be_drawn_is_known_before_the_run(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["minimize", "--plot", f"{tmp_path}/run.png"]) == 2
    captured = capsys.readouterr()
    assert "plot" in captured.err
    assert "iter" not in captured.out


@pytest.mark.parametrize("optimizer", [TNC, "TNC"])
def test_what_is_no_optimizer_is_named(optimizer):
    with pytest.raises(InvalidInputError, match=r"optimizer is .*expected an Optimizer"):
        multistart(rosen, BOX * 2, budget=100, optimizer=optimizer)
    with pytest.raises(InvalidInputError, match="expected an Optimizer"):
        race([optimizer], rosen, [0.0, 0.0], budget=5)


def test_a_single_optimizer_is_no_race():
    with pytest.raises(InvalidInputError, match="expected a sequence"):
        race(LBFGSB(), rosen, [0.0, 0.0], budget=5)


def test_many_minima_are_counted_and_few_are_shown():
    fun = vectorized(lambda points: abs(points).sum(axis=1) * 0.0 + 1.0)
    found = multistart(fun, BOX * 2, budget=1000, agreement=False, seed=1)
    assert len(found.minima) > 10
    assert f"... and {len(found.minima) - 10} more" in str(found)


def test_a_multistart_without_a_minimum_says_so():
    found = multistart(rosen, BOX * 6, budget=20, slots=1, seed=1)
    assert not found.minima
    assert "no run converged; best f(x)" in str(found)


@pytest.mark.parametrize("options", [5, [1, 2], "maxiter=5"])
@pytest.mark.parametrize("cls", [LBFGSB, TNC, lambda options: SciPyOptimizer("TNC", options)])
def test_options_that_are_no_dict_are_an_error(cls, options):
    with pytest.raises(OptionError, match="expected a dict of options"):
        cls(options=options)


def test_a_method_that_is_none_is_an_error():
    with pytest.raises(InvalidInputError, match="method is 5, expected the name"):
        SciPyOptimizer(5)


def test_plain_and_coroutine_functions_are_told_apart():
    async def awaited(x):
        return float(x @ x)

    with pytest.raises(InvalidValueError, match="minimize_async"):
        LBFGSB().minimize(awaited, [1.0])
    with pytest.raises(InvalidValueError, match="expected an awaitable"):
        asyncio.run(LBFGSB().minimize_async(rosen, [1.0, 2.0]))


@pytest.mark.parametrize(
    ("name", "words"),
    [("args", "wrap_function"), ("options", "constructor"), ("method", "the class is the method")],
)
def test_what_scipys_minimize_takes_is_shown_its_place(name, words):
    with pytest.raises(UnknownOptionError, match=words):
        LBFGSB().minimize(rosen, [0.0, 0.0], **{name: ()})


def test_a_damaged_line_of_a_journal_is_named(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB().minimize(rosen, [0.0, 0.0], journal=path)
    lines = path.read_text().splitlines()
    lines[5] = "garbage"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(JournalError, match="its line 6 is 'garbage'"):
        load(path)


@pytest.mark.parametrize("name", ["ftol", "gtol"])
def test_a_negative_tolerance_is_an_error_before_the_first_evaluation(name):
    calls = []
    with pytest.raises(OptionError, match=f"{name} is -1"):
        LBFGSB(options={name: -1.0}).minimize(calls.append, [0.0])
    assert not calls


def test_starts_outside_the_bounds_are_counted():
    with pytest.warns(optimizers.OptimizerWarning) as warned:
        LBFGSB().minimize_many(rosen, [[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]], bounds=BOX * 2)
    assert "1 start besides X0[0] is outside" in str(warned[-1].message)


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        (TNC(), "(maxiter=100, "),
        (TNC(maxiter=20, maxfun=2000), "(maxiter=20, "),
        (SciPyOptimizer("TNC", options={"ftol": 0, "xtol": 0, "gtol": 0}), "(maxiter=300, "),
    ],
)
def test_tnc_names_the_limit_that_ended_it(optimizer, words):
    result = optimizer.minimize(rosen, np.full(30, -1.2), rosen_der)
    assert result.stop is StopReason.MAXFUN
    assert result.message.startswith("Max. number of function evaluations reached " + words)
