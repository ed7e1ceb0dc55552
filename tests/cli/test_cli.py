import re
from pathlib import Path

import numpy as np
import pytest

import optimizers
from optimizers import available
from optimizers.cli import main
from optimizers.problems import h2


def told(out, name):
    """Return what the report says of one thing."""
    (line,) = [line for line in out.splitlines() if line.startswith(f"  {name} ")]
    return line.removeprefix(f"  {name} ").strip()


def point(out):
    return np.array(out.partition("  x          [")[2].partition("]")[0].split(), dtype=float)


# The bundled problem.


def test_the_bundled_problem_is_minimised_to_its_known_energy(run):
    done = run("minimize")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "6 parameters, LBFGSB" in lines[0]
    assert lines[1].split() == ["iter", "evals", "f(x)", "|grad|", "best", "f(x)"]
    assert "Converged: " in done.out
    assert float(told(done.out, "f(x)")) == pytest.approx(-1.857275030202, abs=1e-6)
    assert told(done.out, "exact").startswith("-1.857275030202")
    # A line for each iteration, with the points evaluated until then.
    iterations = int(told(done.out, "iterations"))
    table = [line.split() for line in lines[2 : 2 + iterations]]
    assert [int(row[0]) for row in table] == list(range(1, iterations + 1))
    assert told(done.out, "evaluated").startswith(f"{table[-1][1]} points")
    assert h2()(point(done.out)) == pytest.approx(float(told(done.out, "f(x)")), abs=1e-6)


@pytest.mark.parametrize("name", ["TNC", "tnc", "L-BFGS-B", "BFGS", "cobyla", "NewtonCG"])
def test_any_optimizer_can_be_named(run, name):
    done = run("minimize", "--optimizer", name, "--quiet", "-o", "maxiter=20")
    assert done.code in (0, 3)
    assert float(told(done.out, "f(x)")) < -1.5
    assert float(told(done.out, "f(x)")) >= h2().ground_energy - 1e-9


def test_quiet_leaves_out_the_table(run):
    done = run("minimize", "--quiet")
    assert "iter " not in done.out
    assert "Converged" in done.out


def test_a_message_is_shown_if_it_says_more_than_why_the_run_stopped(run, tmp_path):
    quiet = ("--quiet", "--optimizer", "WaveNewton")
    assert "  message " not in run("minimize", *quiet).out
    assert "  message " not in run("minimize", *quiet, "-o", "maxfun=3").out
    few = run("minimize", "--quiet", "-o", "maxfun=3").out
    assert "pass jac, or raise maxfun" in told(few, "message")
    (tmp_path / "flat.py").write_text("def flat(x):\n    return 1.0\n")
    done = run("minimize", "--fun", f"{tmp_path / 'flat.py'}:flat", "--x0", "1,2", *quiet)
    assert "fun may not depend on x" in told(done.out, "message")
    done = run("minimize", "--quiet", "--optimizer", "SPSA", "-o", "maxfun=100", "-o", "seed=1")
    assert "where it was not evaluated" in told(done.out, "message")


def test_another_start_can_be_given_for_the_bundled_problem(run):
    start = ",".join(["0.1"] * 6)
    done = run("minimize", "--x0", start, "-o", "maxfun=1", "--quiet")
    np.testing.assert_allclose(point(done.out), 0.1)
    assert float(told(done.out, "f(x)")) == pytest.approx(h2()(np.full(6, 0.1)), abs=1e-12)


def test_shots_bring_noise_that_a_seed_repeats(run):
    arguments = ("minimize", "--shots", 50, "--optimizer", "COBYLA", "-o", "maxfun=15", "--quiet")
    values = [told(run(*arguments, "-o", f"seed={seed}").out, "f(x)") for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_shots_take_a_class_that_is_made_for_noise(run):
    done = run("minimize", "--shots", 1000, "-o", "seed=1", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert "NoisyLBFGSB" in done.out
    assert float(told(done.out, "f(x)")) == pytest.approx(h2().ground_energy, abs=0.1)


# The user's function.


def test_a_function_of_the_users_is_minimized(run, user):
    done = run("minimize", "--fun", f"{user}:sphere", "--x0", "3,0")
    assert (done.code, done.err) == (0, "")
    np.testing.assert_allclose(point(done.out), [1.0, 1.0], atol=1e-4)
    assert "exact" not in done.out


@pytest.mark.parametrize(
    "start",
    [("--x0", "-1,2.5"), ("--x0=-1,2.5",), ("--x0", "[-1, 2.5]"), ("--x0", "-1e0,25e-1")],
    ids=str,
)
def test_a_start_may_be_negative(run, user, start):
    done = run("minimize", "--fun", f"{user}:sphere", *start, "-o", "maxfun=1")
    np.testing.assert_allclose(point(done.out), [-1.0, 2.5])


@pytest.mark.parametrize(
    ("bounds", "solution"),
    [
        ("2:3", [2.0, 2.0]),
        ("2:,:0", [2.0, 0.0]),
        ("-3:-1,-0.5:0.5", [-1.0, 0.5]),
        (":,2:", [1.0, 2.0]),
        ("-inf:0", [0.0, 0.0]),
    ],
)
def test_bounds_are_kept(run, user, bounds, solution):
    start = ",".join(map(str, solution))
    done = run("minimize", "--fun", f"{user}:sphere", "--x0", start, "--bounds", bounds)
    assert done.code == 0
    np.testing.assert_allclose(point(done.out), solution, atol=1e-6)


@pytest.mark.parametrize(
    ("fun", "jac", "gradients"),
    [
        ("sphere", "gradient", True),
        ("sphere", "{}:gradient", True),
        ("sphere", "{}/../other.py:slope", True),
        ("both", "true", True),
        ("both", "True", True),
        ("sphere", "2-point", False),
        ("sphere", "3-point", False),
        ("stacked_square", "cs", False),
    ],
)
def test_the_gradient_may_be_a_function_a_scheme_or_true(run, user, fun, jac, gradients):
    jac = jac.replace("{}/..", str(user.parent)).replace("{}", str(user))
    done = run("minimize", "--fun", f"{user}:{fun}", "--x0", "3,0", "--jac", jac)
    assert done.code == 0, done.err
    np.testing.assert_allclose(point(done.out), [1.0, 1.0], atol=1e-4)
    count = int(told(done.out, "evaluated").split()[2])
    assert (count > 0) == gradients


def test_the_gradient_may_be_a_source_in_the_file(run, tmp_path):
    path = tmp_path / "shifted.py"
    path.write_text(
        "import math, optimizers\n"
        "shift = optimizers.ParameterShift()\n"
        "def fun(x): return 2 - math.cos(x[0] - 1) - math.cos(x[1] - 1)\n"
    )
    done = run("minimize", "--fun", f"{path}:fun", "--x0", "2,0", "--jac", "shift")
    assert done.code == 0, done.err
    np.testing.assert_allclose(point(done.out), [1.0, 1.0], atol=1e-4)
    # Five points for each gradient, and two that check the frequencies.
    assert int(told(done.out, "evaluated").split()[0]) % 5 == 2


def test_a_users_file_is_loaded_once_though_it_holds_both_functions(run, user):
    done = run("minimize", "--fun", f"{user}:sphere", "--x0", "3,0", "--jac", "gradient")
    assert done.std.count("loaded") == 1


def test_a_users_file_can_import_its_neighbors(run, user):
    path = user.parent / "with_neighbor.py"
    path.write_text("from mine import sphere\n")
    assert run("minimize", "--fun", f"{path}:sphere", "--x0", "3").code == 0


def test_a_users_file_may_hold_dataclasses(run, user):
    path = user.parent / "with_dataclass.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class Model:\n"
        "    scale: float = 2.0\n"
        "def energy(x):\n"
        "    return Model().scale * float(x @ x)\n"
    )
    done = run("minimize", "--fun", f"{path}:energy", "--x0", "3")
    assert done.code == 0, done.err


@pytest.mark.parametrize("location", ["options", "settings"])
def test_options_reach_the_algorithm_and_the_run(run, user, location):
    options = {
        "options": ["-o", "maxiter=1", "-o", "maxcor=3", "-o", "ftol=0.0"],
        "settings": ["-o", "maxfun=3", "-o", "on_failure=reject", "-o", "timeout=1e3"],
    }[location]
    done = run("minimize", "--fun", f"{user}:sphere", "--x0", "3,0", *options)
    assert done.code == 3
    assert "Stopped before convergence: the budget of" in done.out
    if location == "settings":
        assert told(done.out, "evaluated").startswith("3 points")
    else:
        assert told(done.out, "iterations") == "1"


def test_an_argument_of_the_constructor_can_be_an_option(run, user):
    arguments = ["--fun", f"{user}:sphere", "--x0", "3", "--optimizer", "TNC"]
    done = run("minimize", *arguments, "-o", "tol=1e-3", "-o", "max_evals_grouped=1")
    assert done.code == 0, done.err


# Exit codes.


@pytest.mark.parametrize("name", ["LBFGSB", "TNC", "NELDER_MEAD", "COBYLA"])
def test_a_budget_stop_is_three(run, user, name):
    arguments = ["--fun", f"{user}:sphere", "--x0", "3,0", "--optimizer", name, "-o", "maxfun=4"]
    done = run("minimize", *arguments)
    assert done.code == 3
    assert "Stopped before convergence: the budget of function evaluations" in done.out
    assert int(told(done.out, "evaluated").split()[0]) <= 4


def test_an_error_in_the_users_function_is_one_with_the_users_lines_and_the_best_result(run, user):
    done = run("minimize", "--fun", f"{user}:failing", "--x0", "3,0")
    assert done.code == 1
    assert "mine.py" in done.err
    assert str(Path(optimizers.__file__).parent) not in done.err  # none of the package's
    assert 'raise LookupError("mine")' in done.err
    assert "error: LookupError: mine" in done.err
    assert "Stopped before convergence: " in done.out
    assert told(done.out, "evaluated").startswith("4 points")
    assert float(told(done.out, "f(x)")) <= 9.0


def test_a_value_that_cannot_be_used_is_one_with_a_named_error(run, user):
    done = run("minimize", "--fun", f"{user}:undefined", "--x0", "3,0")
    assert done.code == 1
    assert "error: fun returned nan" in done.err
    assert "Traceback" not in done.err
    assert "f(x)" not in done.out


def test_an_interrupt_is_130_with_the_best_result(run, user):
    done = run("minimize", "--fun", f"{user}:interrupted", "--x0", "3,0")
    assert done.code == 130
    assert done.err == ""  # the report says it
    assert "Stopped before convergence: the run was interrupted." in done.out
    assert "To continue" not in done.out
    assert float(told(done.out, "f(x)")) <= 9.0


@pytest.mark.parametrize("command", [[], ["minimize"], ["list"], ["show"]], ids=str)
def test_help_is_zero(run, command):
    done = run(*command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.std.startswith("usage: python -m optimizers")
    assert max(map(len, done.std.splitlines())) <= 80
    done.std.encode("ascii")


def test_the_version_is_told(run):
    done = run("--version")
    assert (done.code, done.std) == (0, f"optimizers {optimizers.__version__}\n")


# The other commands.


def named(out):
    """Return the optimizers of a list, whose further lines are indented."""
    return [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]


def test_list_has_a_row_for_every_optimizer(run):
    done = run("list")
    assert (done.code, done.err) == (0, "")
    assert named(done.out) == list(available())
    for cls in available().values():
        assert cls.traits.purpose in " ".join(done.out.split())


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("command", ["list", "show TNC"])
def test_no_line_is_longer_than_the_terminal(run, monkeypatch, columns, command):
    monkeypatch.setenv("COLUMNS", str(columns))
    longest = max(map(len, run(*command.split()).out.splitlines()))
    assert longest <= columns


def test_the_list_says_what_each_requires_and_supports(run):
    text = run("list", "--residuals", "required").out
    start = text.index("DOGBOX")
    assert "requires residuals; supports gradient, bounds" in text[start : text.index("LM ")]


@pytest.mark.parametrize("name", ["COBYLA", "COBYQA", "NELDER_MEAD", "POWELL"])
def test_list_and_show_name_those_that_ask_for_one_point_at_a_time(run, name):
    listed = run("list", "--no-parallel").out
    entry = re.search(rf"^{name} (.*?)(?=^\w|\Z)", listed, re.M | re.S)
    assert "one point at a time" in " ".join(entry[1].split())
    assert "Traits: one point at a time" in run("show", name).out
    assert "one point at a time" not in run("show", "LBFGSB").out


@pytest.mark.parametrize("name", available())
def test_show_tells_the_options_of_every_optimizer(run, name):
    done = run("show", name.lower())
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{name}: ")
    # Without those that the class documents elsewhere: what every Optimizer takes.
    for option in set(available()[name]().settings) - {"max_evals_grouped"}:
        assert f"  {option} " in done.out or f"  {option}\n" in done.out


def test_output_goes_to_standard_output_by_default(capsys):
    assert main(["list"]) == 0
    assert capsys.readouterr().out.startswith("ADAM ")


# In a process of its own.


def test_the_module_can_be_run(process, tmp_path):
    done = process("minimize", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Converged: " in done.stdout
    assert float(told(done.stdout, "f(x)")) == pytest.approx(-1.857275030202, abs=1e-6)


def test_the_exit_code_and_the_streams_are_those_of_the_process(process, user):
    done = process("minimize", "--fun", "mine.py:failing", "--x0", "3,0", cwd=user.parent)
    assert done.returncode == 1
    assert "LookupError: mine" in done.stderr
    assert "error: LookupError: mine" in done.stderr
    assert "Stopped before convergence" in done.stdout


@pytest.mark.parametrize("path", ["nowhere/run.png", "run.xyz"])
def test_a_picture_that_could_not_be_kept_is_a_usage_error(run, path):
    done = run("minimize", "--plot", path)
    assert done.code == 2
    assert "--plot" in done.err


def test_the_run_is_drawn(run, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    assert run("minimize", "--quiet", "--plot", str(tmp_path / "run.png")).code == 0
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
