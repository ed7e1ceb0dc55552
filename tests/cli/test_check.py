import re
import subprocess
import sys

import pytest

GOOD = """
from optimizers import LBFGSB as Foreign
from optimizers.flow import AskData, FlowOptimizer, Step, StopReason, ended, levels
from optimizers import SupportLevel

class Still(FlowOptimizer):
    support_levels = levels(gradient=SupportLevel.ignored)

    def __init__(self, **settings):
        super().__init__({}, **settings)

    def _flow(self, problem, run):
        told = yield AskData(problem.x0)
        yield Step(problem.x0, told.fun)
        yield AskData(problem.clip(problem.x0 + [[1], [2]]))
        return ended(problem.x0, StopReason.CONVERGED, told.fun)

class _Hidden(Still):
    pass
"""
BAD = (
    GOOD
    + """
class Silent(Still):
    def _flow(self, problem, run):
        yield AskData(problem.x0)
        raise LookupError("first\\nsecond")
"""
)


UNMADE = (
    GOOD
    + """
class Abstract(FlowOptimizer):
    pass

class Needing(Still):
    def __init__(self, rate, **settings):
        super().__init__(**settings)
"""
)


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "good_package.py").write_text(GOOD)
    (tmp_path / "bad_package.py").write_text(BAD)
    (tmp_path / "unmade_package.py").write_text(UNMADE)
    (tmp_path / "broken_package.py").write_text("import no_such_library\n")
    yield
    for name in ("good_package", "bad_package", "unmade_package"):
        sys.modules.pop(name, None)


def rows(out):
    """Return how each check went, by its name."""
    lines = [line.split() for line in out.splitlines() if line.startswith("  ") and line[2] != " "]
    return {line[0]: line[1] for line in lines}


@pytest.mark.parametrize("target", ["good_package", "good_package:Still"])
def test_a_class_or_the_public_ones_of_a_package_are_checked(run, package, target):
    done = run("check", target)
    assert done.code == 0, done.out
    assert done.out.startswith("Still (good_package)\n")
    assert set(rows(done.out).values()) == {"passed"}
    assert done.out.endswith("22 passed\n")


def test_a_name_is_checked(run):
    done = run("check", "l-bfgs-b")
    assert done.code == 0
    assert done.out.startswith("LBFGSB (optimizers.scipy.gradient)\n")


def test_a_failure_is_one_line_with_its_reason_and_code_one(run, package, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = run("check", "bad_package:Silent")
    assert done.code == 1
    told = rows(done.out)
    assert told["support_levels"] == "passed"
    assert told["counts"] == "failed"
    assert "LookupError: first\n" in done.out
    assert "second" not in done.out
    counts = [list(told.values()).count(result) for result in ("passed", "failed")]
    assert done.out.endswith("{} passed, {} failed\n".format(*counts))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Abstract", "does not define _flow"),
        ("Needing", "expected a default for each option: .*rate"),
    ],
)
def test_a_class_of_which_no_object_can_be_made_is_one_failure(run, package, name, words):
    done = run("check", f"unmade_package:{name}")
    assert done.code == 1
    assert re.search(words, " ".join(done.out.split()))
    assert done.out.endswith("\n1 failed\n")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_package", "No optimizer is called 'no_package'.* There is no package no_package"),
        ("no_package:Class", "There is no package or module no_package"),
        ("good_package:Stil", "has nothing called 'Stil'. Did you mean 'Still'"),
        ("good_package:levels", "expected a class of optimizers"),
        ("a b:c", "'a b' is not the name of a package or module"),
        ("json", "The package json has no optimizers"),
    ],
)
def test_what_cannot_be_checked_is_two_and_named(run, package, target, words):
    done = run("check", target)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert re.search(words, done.err)


def test_what_a_package_itself_raises_is_an_error_with_its_line(run, package):
    done = run("check", "broken_package")
    assert done.code == 1
    assert "import no_such_library" in done.err
    assert "No module named 'no_such_library'" in done.err


def test_without_assertions_nothing_is_checked():
    command = [sys.executable, "-O", "-m", "optimizers", "check", "LBFGSB"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "python -O removes" in done.stderr
