"""``minimize --journal``, ``resume`` and ``history`` of the command line."""

import importlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scipy.optimize import rosen

import optimizers
from optimizers import BFGS, LBFGSB, Differences, JournalMismatchError, multistart, race
from optimizers.cli import main
from optimizers.cli.codes import CONVERGED, ERROR, STOPPED, USAGE

ROOT = Path(optimizers.__file__).parent.parent
BOWL = """
def bowl(x):
    return (x[0] - 1) ** 2 + 10 * (x[1] + x[0] ** 2) ** 2

def slope(x):
    inner = 20 * (x[1] + x[0] ** 2)
    return [2 * (x[0] - 1) + 2 * x[0] * inner, inner]
"""


@pytest.fixture
def bowl(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bowl.py").write_text(BOWL)
    return tmp_path / "bowl.py"


def ran(*arguments):
    out = io.StringIO()
    code = main([str(argument) for argument in arguments], out)
    return code, out.getvalue()


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
@pytest.mark.parametrize("jac", [(), ("--jac", "slope"), ("--jac", "3-point")])
def test_a_function_in_a_file_is_gone_on_with_from_any_folder(
    bowl, tmp_path, monkeypatch, name, jac
):
    given = ("minimize", "--fun", "bowl.py:bowl", "--x0", "-1,1", *jac, "--quiet")
    code, expected = ran(*given)
    assert code == CONVERGED
    path = tmp_path / name
    code, out = ran(*given, "--journal", path, "-o", "maxfun=9")
    assert code == STOPPED
    monkeypatch.chdir("/")
    code, out = ran("resume", path, "--yes", "--quiet", "-o", "maxfun=1000")
    assert code == CONVERGED
    replayed = re.search(r" \((\d+) of \d+ from the journal\)", out)
    assert 0 < int(replayed[1]) <= 9
    out = out.replace(replayed[0], "")
    assert out.splitlines()[:-1] == expected.splitlines()[:-1]  # but for the time
    code, out = ran("history", path)
    assert code == CONVERGED
    assert "Ended: the (projected) gradient" in out
    # What has ended is told again, and not stopped by the budget of its first start.
    code, again = ran("resume", path, "--yes", "--quiet")
    assert code == CONVERGED
    assert again.splitlines()[:4] == expected.splitlines()[:4]


def test_h2_is_gone_on_with(tmp_path):
    path = tmp_path / "h2.jsonl"
    code, _ = ran("minimize", "--journal", path, "--quiet", "-o", "maxfun=20", "-o", "seed=3")
    assert code == STOPPED
    recorded = optimizers.load(path).points
    code, out = ran("resume", path, "--quiet", "-o", "maxfun=2000")
    assert code == CONVERGED
    assert "exact" in out
    assert (optimizers.load(path).points[: len(recorded)] == recorded).all()
    code, out = ran("history", path, "--csv")
    assert out.startswith("seq,kind,f,seconds,worker,failure,x0,x1,")
    assert len(out.splitlines()) == 1 + len(optimizers.load(path).records)


def test_another_command_on_a_journal_is_refused(bowl, tmp_path, capsys):
    given = ("minimize", "--fun", "bowl.py:bowl", "--journal", "run.jsonl", "--quiet", "--x0")
    assert ran(*given, "-1,1")[0] == CONVERGED
    assert ran(*given, "-1,2")[0] == USAGE
    assert "x0[1] is 1.0 in the journal, but 2.0 now" in capsys.readouterr().err
    assert ran(*given, "-1,1", "-o", "journal=run.jsonl")[0] == CONVERGED


def test_a_run_of_python_is_gone_on_with(bowl, tmp_path, capsys):
    namespace = {}
    exec(BOWL, namespace)
    path = tmp_path / "run.jsonl"
    optimizer = BFGS(gtol=1e-7, maxfun=10, options={"norm": 2.0})
    scheme = Differences("3-point", step=1e-4)
    optimizer.minimize(namespace["bowl"], [-1.0, 1.0], scheme, journal=path)
    assert ran("resume", path)[0] == USAGE
    assert "name it by --fun" in capsys.readouterr().err
    code, out = ran("resume", path, "--fun", bowl.name + ":bowl", "-o", "maxfun=500")
    assert code in (CONVERGED, STOPPED)
    assert optimizers.load(path).result.nfev > 10
    assert "nfev" in out or "f(x)" in out


def test_a_function_of_a_package_is_gone_on_with(tmp_path, monkeypatch):
    package = tmp_path / "shapes" / "round"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "bowls.py").write_text("from ..shared import bowl as own\n\n" + BOWL)
    (package.parent / "shared.py").write_text(BOWL)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "run.jsonl"
    bowl = importlib.import_module("shapes.round.bowls").bowl
    BFGS(maxfun=10).minimize(bowl, [-1.0, 1.0], journal=path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "optimizers", "resume", path, "--yes", "-o", "maxfun=500"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stderr.splitlines() == [
        f"Running {package / 'bowls.py'}:bowl, which the journal names."
    ]
    assert done.returncode == CONVERGED


def test_a_gradient_of_python_must_be_named(bowl, tmp_path, capsys):
    namespace = {}
    exec(BOWL, namespace)
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=2).minimize(namespace["bowl"], [-1.0, 1.0], namespace["slope"], journal=path)
    given = ("resume", path, "--quiet", "--fun", "bowl.py:bowl")
    assert ran(*given)[0] == USAGE
    assert "name it by --jac" in capsys.readouterr().err
    assert ran(*given, "--jac", "slope", "-o", "maxfun=99")[0] == CONVERGED


def test_what_a_header_cannot_rebuild_is_said(bowl, tmp_path, capsys):
    from optimizers import SLSQP

    path = tmp_path / "run.jsonl"
    ring = {"type": "ineq", "fun": lambda x: 4 - x @ x}
    SLSQP(maxiter=2).minimize(lambda x: x @ x, [1.0, 1.0], constraints=ring, journal=path)
    assert ran("resume", path, "--fun", "bowl.py:bowl")[0] == USAGE
    assert "constraints cannot be read from a journal" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["resume", "history"])
def test_what_is_no_journal_is_said(tmp_path, capsys, command):
    assert ran(command, tmp_path / "none.jsonl")[0] == USAGE
    assert "cannot be read" in capsys.readouterr().err


def test_a_run_that_failed_is_gone_on_with_when_the_function_is_mended(bowl, tmp_path, capsys):
    bowl.write_text(BOWL.replace("return (x", "assert x[0] < 0\n    return (x"))
    given = ("--quiet",)
    assert (
        ran("minimize", "--fun", "bowl.py:bowl", "--x0", "-1,1", "--journal", "a.db", *given)[0]
        == ERROR
    )
    assert "AssertionError" in capsys.readouterr().err
    bowl.write_text(BOWL)
    # In a new process: this one has read the file already.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    again = [sys.executable, "-m", "optimizers", "resume", "a.db", *given]
    assert subprocess.run(again, env=environment, check=False).returncode == CONVERGED
    assert " points, 1 failed, 0 gradients" in ran("history", "a.db")[1]


def test_what_a_journal_names_elsewhere_runs_only_when_that_is_allowed(
    bowl, tmp_path, monkeypatch, capsys
):
    path, given = tmp_path / "run.jsonl", ("--fun", "bowl.py:bowl", "--x0", "-1,1", "--quiet")
    command = [sys.executable, "-m", "optimizers", "minimize", *given, "--journal", path]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    marked = tmp_path / "it_ran"
    bowl.write_text(f"open({str(marked)!r}, 'w').close()\n{BOWL}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for answer in ("", "n\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert ran("resume", path)[0] == USAGE
        assert "not under the current folder" in capsys.readouterr().err
        assert not marked.exists()
    for answer, arguments in (("y\n", ()), ("", ("--yes",)), ("", ("--fun", f"{bowl}:bowl"))):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert ran("resume", path, *arguments)[0] == CONVERGED
        is_named = "bowl.py:bowl, which the journal names" in capsys.readouterr().err
        assert is_named == ("--fun" not in arguments)
    assert marked.exists()


def test_what_a_journal_names_under_this_folder_is_said_and_run(bowl, tmp_path, capsys):
    path = tmp_path / "run.jsonl"
    ran("minimize", "--fun", "bowl.py:bowl", "--x0", "-1,1", "--journal", path)
    assert ran("resume", path)[0] == CONVERGED
    assert "bowl.py:bowl, which the journal names" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 3, None, "'text'"])
@pytest.mark.parametrize("place", ["function", "file"])
def test_a_function_that_exits_has_not_converged(bowl, capsys, code, place):
    exits = f"import sys\n{BOWL}"
    if place == "function":
        exits = exits.replace("    return (x[0]", f"    sys.exit({code})\n    return (x[0]")
    bowl.write_text(exits if place == "function" else f"{exits}\nsys.exit({code})\n")
    assert ran("minimize", "--fun", "bowl.py:bowl", "--x0", "-1,1")[0] == ERROR
    assert "sys.exit" in capsys.readouterr().err


def test_a_start_of_another_size_than_h2s_is_named(capsys):
    assert ran("minimize", "--x0", "1,2")[0] == USAGE
    assert "has 6 variables" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--x0", "--bounds", "--fun", "--jac", "--optimizer"])
def test_two_dashes_are_no_value(option, capsys):
    assert ran("minimize", f"{option}=--")[0] == USAGE
    assert "--" in capsys.readouterr().err


def test_a_journal_of_many_runs_is_not_resumed_here_and_tells_what_to_do(tmp_path, capsys):
    path, box = tmp_path / "many.jsonl", [(-2.0, 2.0)] * 2
    for name, call in {
        "minimize_many": lambda: LBFGSB().minimize_many(rosen, [[1.0, 2.0]], journal=path),
        "multistart": lambda: multistart(rosen, box, 40, journal=path),
        "race": lambda: race([LBFGSB(), LBFGSB(eps=1e-4)], rosen, [1.0, 2.0], journal=path),
    }.items():
        path.unlink(missing_ok=True)
        call()
        assert ran("resume", path)[0] == USAGE
        assert f"has many runs: to continue them, call {name} in Python again" in (
            capsys.readouterr().err
        )
        with pytest.raises(JournalMismatchError) as error:
            LBFGSB().minimize(rosen, [1.0, 2.0], journal=path)
        assert f"the called function is '{name}' in the journal, but 'minimize'" in str(error.value)
        assert len(str(error.value)) < 300 + len(str(path))
    _, out = ran("history", path)
    assert out.startswith("race: LBFGSB, LBFGSB-2, 2 variables, begun ")


def test_the_list_has_those_that_fit():
    code, out = ran("list", "--constraints", "--no-parallel")
    assert code == CONVERGED
    names = [line.split()[0] for line in out.splitlines() if line[0] != " "]
    assert names == ["COBYLA", "COBYQA", "NLopt"]
    assert optimizers.COBYLA.traits.purpose in " ".join(out.split())
    code, out = ran("list", "--bounds", "ignored", "--hessian", "ignored")
    assert [line.split()[0] for line in out.splitlines() if line[0] != " "] == ["BFGS", "CG"]
    assert ran("list", "--hessian", "--noise") == (CONVERGED, "No optimizer fits.\n")
