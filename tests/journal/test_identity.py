"""A journal answers for the objective that it was begun with, and says so where that is another."""

import dataclasses
import functools
import json
import os
import re
import subprocess
import sys
import threading
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der

import optimizers
from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    Journal,
    JournalError,
    JournalMismatchError,
    OptimizerWarning,
    TrustExact,
    vectorized,
)

ROOT = Path(optimizers.__file__).parent.parent
START = [3.0, 4.0]


def defined(source, name="fun", **given):
    """Return a function of source text, as a script or a notebook defines it."""
    namespace = {"np": np, "functools": functools, "dataclasses": dataclasses}
    namespace |= {"vectorized": vectorized, **given}
    exec(compile(source, "<stdin>", "exec"), namespace)
    return namespace[name]


#: Each before and after an edit, and what the warning names.
EDITS = {
    "code": ("def fun(x): return float((x - 1) @ (x - 1))", "- 1", "- 5", "fun: its code"),
    "lambda": ("fun = lambda x: float((x - 1) @ (x - 1))", "- 1", "- 5", "fun: its code"),
    "nested": (
        "def fun(x):\n    def square(z): return (z - 1)**2\n    return sum(map(square, x))",
        "- 1",
        "- 5",
        "fun: its code",
    ),
    "default": ("def fun(x, a=1): return float((x - a) @ (x - a))", "a=1", "a=5", "default of a"),
    "keyword": ("def fun(x, *, a=1): return float((x - a) @ (x - a))", "a=1", "a=5", "of a"),
    "closure": (
        "def made(a):\n    return lambda x: float((x - a) @ (x - a))\nfun = made(1)",
        "made(1)",
        "made(5)",
        "fun: the value of a",
    ),
    "global": (
        "A = 1\ndef fun(x): return float((x - A) @ (x - A))",
        "A = 1",
        "A = 5",
        "value of A",
    ),
    "data": (
        "A = np.array([1.0, 1])\ndef fun(x): return float((x - A) @ (x - A))",
        "[1.0, 1]",
        "[1.0, 5]",
        "value of A",
    ),
    "list": (
        "A = [[1.0], [{'a': 1}]]\ndef fun(x): return float(x @ x + A[1][0]['a'])",
        "'a': 1",
        "'a': 5",
        "value of A",
    ),
    "helper": (
        "def shift(x): return x - 1\ndef fun(x): return float(shift(x) @ shift(x))",
        "- 1",
        "- 5",
        "fun: the code of shift",
    ),
    "partial": (
        "def f(a, x, b=0): return float((x - a) @ (x - a))\nfun = functools.partial(f, 1, b=2)",
        "f, 1",
        "f, 5",
        "fun: the argument 1",
    ),
    "partial by name": (
        "def f(x, b=0): return float((x - b) @ (x - b))\nfun = functools.partial(f, b=[1, 2])",
        "[1, 2]",
        "[1, 5]",
        "fun: the argument b",
    ),
    "method": (
        "class M:\n    def __init__(self, a): self.a = a\n"
        "    def loss(self, x): return float((x - self.a) @ (x - self.a))\nfun = M(1).loss",
        "M(1)",
        "M(5)",
        "fun: the value of a",
    ),
    "callable": (
        "class M:\n    def shift(self, x): return x - 1\n"
        "    def __call__(self, x): return float(self.shift(x) @ self.shift(x))\nfun = M()",
        "- 1",
        "- 5",
        "fun: the code of shift",
    ),
    "dataclass": (
        "@dataclasses.dataclass\nclass M:\n    a: int = 1\n    known: list = "
        "dataclasses.field(default_factory=list)\n    @property\n    def twice(self): return self.a"
        "\n    def __call__(self, x): return float((x - self.twice) @ (x - self.twice))\nfun = M()",
        "a: int = 1",
        "a: int = 5",
        "fun: the value of",
    ),
    "wrapped": (
        "def f(x): return float((x - 1) @ (x - 1))\n@functools.wraps(f)\ndef fun(x): return f(x)",
        "- 1",
        "- 5",
        "fun: the code of f",
    ),
    "cached": (
        "def f(x): return float(((np.array(x) - 1) ** 2).sum())\n"
        "g = functools.cache(f)\ndef fun(x): return g(tuple(x))",
        "- 1",
        "- 5",
        "fun: the code of",
    ),
    "vectorized": (
        "@vectorized\ndef fun(xs): return ((xs - 1) ** 2).sum(axis=1)",
        "- 1",
        "- 5",
        "fun: ",
    ),
}

TYPED = "import enum\n__name__ = '__main__'"
#: Values that a function reads: an import, the value before and after an edit, and how it is used.
HELD = {
    "decimal": ("from decimal import Decimal as D", "D('1')", "D('5')", "float(A)"),
    "fraction": ("from fractions import Fraction as F", "[F(1, 2)]", "[F(5, 2)]", "float(A[0])"),
    "date": ("import datetime as d", "d.date(2001, 1, 1)", "d.date(2001, 1, 5)", "A.day"),
    "range": ("", "range(1, 9)", "range(5, 9)", "A[0]"),
    "slice": ("", "slice(1, 9)", "slice(5, 9)", "A.start"),
    "bytearray": ("", "bytearray(b'1')", "bytearray(b'5')", "A[0]"),
    "packed": ("from array import array", "array('d', [1.0])", "array('d', [5.0])", "A[0]"),
    "deque": ("from collections import deque", "deque([1, np.eye(2)])", "deque([5])", "A[0]"),
    "csr": ("import scipy.sparse as s", "s.csr_matrix(np.eye(2))", "s.csr_matrix((2, 2))", "A @ x"),
    "coo": ("import scipy.sparse as s", "s.coo_array(np.eye(2))", "s.coo_array((2, 2))", "A @ x"),
    "dok": ("import scipy.sparse as s", "s.dok_array(np.eye(2))", "s.dok_array((2, 2))", "A @ x"),
    "factors": (
        "import scipy.sparse as s; B = s.linalg.splu(s.csc_matrix(np.eye(2)))",
        "(1, B)",
        "(5, B)",
        "A[0]",
    ),
    "lil": ("import scipy.sparse as s", "s.lil_array(np.eye(2))", "s.lil_array((2, 2))", "A @ x"),
    "mask": ("m = np.ma.array", "m([1, 5], mask=[0, 1])", "m([1, 5], mask=[1, 0])", "A.sum()"),
    "record": ("", "np.array([(1, 2)], '2i,f')", "np.array([(5, 2)], '2i,f')", "A['f0'][0, 0]"),
    "objects": ("", "np.array([1.0, None])", "np.array([5.0, None])", "A[0]"),
    "member": (f"{TYPED}\nE = enum.Enum('E', 'P Q')", "E.P", "E.Q", "A.value"),
    "members": (TYPED, "enum.IntEnum('E', 'P Q')", "enum.IntEnum('E', 'O P')", "A.P"),
    "attribute": (
        "def by(x): return x - by.a",
        "setattr(by, 'a', 1)",
        "setattr(by, 'a', 5)",
        "by(x)",
    ),
}
EDITS |= {
    name: (
        f"{imports}\nA = {before}\ndef fun(x): return float((x - {use}) @ x)",
        f"A = {before}",
        f"A = {after}",
        "fun: the value of",
    )
    for name, (imports, before, after, use) in HELD.items()
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_noticed_and_named(tmp_path, edit):
    source, old, new, words = EDITS[edit]
    assert old in source
    path = tmp_path / "run.jsonl"
    LBFGSB().minimize(defined(source), START, journal=path)
    text = path.read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the same again, on other lines, with a comment
        again = LBFGSB().minimize(defined("# moved\n\n" + source), START, journal=path)
    assert again.nreplayed == again.nfev > 0
    edited = defined(source.replace(old, new))
    with pytest.warns(OptimizerWarning, match=words):
        result = LBFGSB().minimize(edited, START, journal=path)
    assert (result.nreplayed, result.fun) == (result.nfev, again.fun)
    with pytest.raises(JournalMismatchError, match=words):
        LBFGSB(journal_check="error").minimize(edited, START, journal=path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LBFGSB().minimize(edited, START, journal=path, journal_check="off")
    assert path.read_text() == text


@pytest.mark.parametrize("derivative", ["jac", "hess"])
def test_edited_derivatives_are_noticed(tmp_path, derivative):
    source = "def d(x): return {0} * np.eye(2) if {1} else {0} * x"
    path = tmp_path / "run.jsonl"
    given = {
        "jac": defined(source.format("2", "False"), "d"),
        "hess": defined(source.format("2", "True"), "d"),
    }
    TrustExact().minimize(lambda x: float(x @ x), START, **given, journal=path)
    given[derivative] = defined(source.format("2.5", derivative == "hess"), "d")
    with pytest.warns(OptimizerWarning, match=f"{derivative}: its code"):
        TrustExact().minimize(lambda x: float(x @ x), START, **given, journal=path)


def test_args_and_grouped_and_pooled_objectives_are_known_too(tmp_path):
    def fun(x, a):
        return float((x - a) @ (x - a))

    path = tmp_path / "run.jsonl"
    NELDER_MEAD(maxfun=9, journal=path)(fun, START, args=(1.0,))
    with pytest.warns(OptimizerWarning, match="fun: args"):
        NELDER_MEAD(maxfun=9, journal=path)(fun, START, args=(2.0,))
    path = tmp_path / "pool.jsonl"
    with ThreadPoolExecutor(2) as pool:
        source = "def fun(x): return float((x - 1) @ (x - 1))"
        LBFGSB(workers=pool).minimize(defined(source), START, journal=path)
        edited = defined(source.replace("- 1", "- 5"))
        with pytest.warns(OptimizerWarning, match="fun: its code"):
            result = LBFGSB(workers=pool).minimize(edited, START, journal=path)
    assert result.nreplayed == result.nfev


@pytest.mark.parametrize("optimizer", [LBFGSB, NELDER_MEAD])
def test_an_objective_that_returns_the_gradient_is_known_in_every_call(tmp_path, optimizer):
    source = "def fun(x): return float((x - 1) @ (x - 1)), 2 * (x - 1)"
    edited = defined(source.replace("- 1", "- 5"))

    def scipys(fun, path):
        method = optimizer(maxfun=9, journal=path)
        return scipy.optimize.minimize(fun, START, jac=True, method=method)

    def own(fun, path):
        return optimizer(maxfun=9, journal=path).minimize(fun, START, True)

    for number, minimize in enumerate([own, scipys]):
        path = tmp_path / f"{number}.jsonl"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* ignores jac")
            first = minimize(defined(source), path)
            with pytest.warns(OptimizerWarning, match="fun: its code"):
                assert minimize(edited, path).nreplayed == first.nfev
            with pytest.raises(JournalMismatchError, match="but 'other' now"):
                minimize(defined(source.replace("fun", "other").replace("1", "2"), "other"), path)


def test_a_long_chain_of_functions_is_read_to_some_depth(tmp_path):
    chain = [f"def f{i}(x): return f{i + 1}(x)" for i in range(600)]
    source = "\n".join([*chain, "def f600(x): return float(x @ x)"])
    LBFGSB().minimize(defined(source, "f0"), START, maxfun=3, journal=tmp_path / "run.jsonl")
    edited = defined(source.replace("f100(x)", "2 * f100(x)", 1), "f0")
    with pytest.warns(OptimizerWarning, match="fun: the code of f99 changed"):
        LBFGSB().minimize(edited, START, maxfun=3, journal=tmp_path / "run.jsonl")


def test_another_name_is_refused_unless_it_is_the_same_function(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB().minimize(rosen, START, rosen_der, journal=path)
    text = path.read_text()
    with pytest.raises(JournalError, match=r"fun is 'rosen' in .*, but '<lambda>' now.*'off'"):
        LBFGSB().minimize(lambda x: 1 / 0, START, rosen_der, journal=path)
    with pytest.raises(JournalError, match="jac is 'rosen_der' in the journal, but 'rosen' now"):
        LBFGSB().minimize(rosen, START, rosen, journal=path)
    assert path.read_text() == text
    path = tmp_path / "renamed.jsonl"
    source = "def fun(x): return float((x - 1) @ (x - 1))"
    LBFGSB().minimize(defined(source), START, journal=path)
    renamed = defined(source.replace("fun", "energy"), "energy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LBFGSB().minimize(renamed, START, journal=path).nreplayed


def test_what_the_run_itself_changes_is_no_other_objective(tmp_path):
    points, count = [], 0

    class Model:
        calls = 0
        seen = np.zeros(2)

        def loss(self, x):
            nonlocal count
            count += 1
            self.calls += 1
            self.seen[:] = x
            points.append(x.tolist())
            return float(x @ x)

    model = Model()
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=3).minimize(model.loss, START, journal=path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = LBFGSB().minimize(model.loss, START, journal=path)
        assert (result.nreplayed, result.nfev) == (3, count)
        assert LBFGSB().minimize(model.loss, START, journal=path).nreplayed == count


SCRIPT = """
import sys, tempfile, warnings
import numpy as np
import optimizers
warnings.simplefilter("error")
folder = tempfile.mkdtemp()  # other for each process
handle = object()
NAMES = {"a", "b", "c", "d"}
def fun(x, of=frozenset("xyz"), print=print):
    return float((x - 1) @ (x - 1)) + len(NAMES) * ("q" in {"p", "q", "r"}) + (handle is None)
result = optimizers.LBFGSB().minimize(fun, [3.0, 4.0], journal=sys.argv[1])
print(result.nreplayed, "of", result.nfev)
"""


def test_other_processes_and_ways_to_run_it_know_the_same_function(tmp_path):
    script, path = tmp_path / "script.py", tmp_path / "run.jsonl"
    script.write_text(SCRIPT)
    fed = {"input": SCRIPT, "capture_output": True, "text": True, "check": True}
    outs = []
    for seed, arguments in enumerate([[str(script)], [str(script)], ["-"]]):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)}
        done = subprocess.run([sys.executable, *arguments, path], env=environment, **fed)
        outs.append(done.stdout.split())
    assert [int(out[0]) > 0 for out in outs] == [False, True, True]
    assert outs[1] == outs[2]


CAPTURING = """
def fun(x, s=2.0):
    b, w = 3.0, 1.0
    def g(z):
        y = z * w + s
        return y - b
    return float(sum(w * (xi - s) ** 2 for xi in x) + g(s) + sum([b * xi ** 2 for xi in x]))
"""


def test_other_names_of_local_variables_change_nothing(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB().minimize(defined(CAPTURING), START, journal=path)
    source = CAPTURING
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for old, new in ["xa", "sr", "bv", "wd", "gh", "zk", "yo", ("xi", "q")]:
            source = re.sub(rf"\b{old}\b", new, source)
            LBFGSB().minimize(defined(source), START, journal=path)
    for old, new in [("w * (", "b * ("), ("* w", "* b"), ("y - b", "y - s"), ("b, w", "w, b")]:
        edited = defined(CAPTURING.replace(old, new))
        with pytest.warns(OptimizerWarning, match="fun: its code"):
            LBFGSB().minimize(edited, START, journal=path)


@pytest.mark.parametrize(
    ("changed", "is_noticed"),
    [({}, True), ({"python": "3.1.4"}, False), ({"python": f"{sys.version[:6]} -O"}, False)],
)
def test_code_is_compared_as_the_same_python_compiles_it(tmp_path, changed, is_noticed):
    path = tmp_path / "run.jsonl"
    source = "def fun(x): return float((x - 1) @ (x - 1))"
    LBFGSB().minimize(defined(source), START, journal=path)
    header, *lines = path.read_text().splitlines(keepends=True)
    header = json.loads(header)
    header["versions"].update(changed)
    path.write_text("".join([json.dumps(header) + "\n", *lines]))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        LBFGSB().minimize(defined(source.replace("- 1", "- 5")), START, journal=path)
    assert bool(told) == is_noticed


def test_a_stepper_goes_on_with_what_a_function_began(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=3).minimize(rosen, START, journal=path)
    with LBFGSB().stepper(START, journal=path) as stepper:
        for ask in stepper:
            stepper.tell(ask, optimizers.TellData([rosen(x) for x in ask.x_fun]))
    assert (stepper.result().nreplayed, stepper.result().success) == (3, True)


def test_results_say_how_many_values_were_replayed(tmp_path, capsys):
    path = tmp_path / "run.jsonl"
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result.nreplayed)

    assert LBFGSB().minimize(rosen, START, callback=callback).nreplayed == 0
    assert set(seen) == {0}
    first = LBFGSB(maxfun=20).minimize(rosen, START, journal=path)
    assert first.nreplayed == 0
    assert optimizers.load(path).result.nreplayed == 0
    result = LBFGSB(options={"disp": True}).minimize(rosen, START, journal=path)
    count = result.nreplayed
    assert count == first.nfev > 0
    assert f"{result.nfev} ({count} of {result.nfev} from the journal)" in capsys.readouterr().out
    assert f"nreplayed: {count}" in repr(result)
    assert optimizers.OptimizerResult.from_dict(result.to_dict()).nreplayed == count


def test_retried_evaluations_are_replayed_too(tmp_path):
    path, failing = tmp_path / "run.jsonl", [True]

    def fun(x):
        failing[0] = not failing[0]
        if not failing[0]:
            raise ArithmeticError
        return float(x @ x)

    first = NELDER_MEAD(maxfun=20).minimize(fun, START, retries=2, journal=path)
    again = NELDER_MEAD(maxfun=20).minimize(fun, START, retries=2, journal=path)
    assert again.nreplayed == again.nfev == first.nfev


@pytest.mark.parametrize("workers", [None, "vectorized"])
@pytest.mark.parametrize("jac", [None, True])
def test_a_recorded_point_is_verified(tmp_path, jac, workers):
    hidden, calls = threading.local(), []  # which nobody can look into
    hidden.shift = 1.0

    def fun(x):
        calls.append(np.array(x))
        value = ((x - hidden.shift) ** 2 * (x**2 + 1)).sum(axis=-1)
        gradient = 2 * (x - hidden.shift) * (x**2 + 1) + (x - hidden.shift) ** 2 * 2 * x
        return (value, gradient) if jac else value

    path, cost = tmp_path / "run.jsonl", 1 if jac else 3
    begun = LBFGSB(maxfun=2 * cost).minimize(fun, START, jac, journal=path, workers=workers)
    given = {"jac": jac, "workers": workers, "journal": Journal(path, verify=1)}
    calls.clear()
    again = LBFGSB(maxfun=3 * cost + 1).minimize(fun, START, **given)
    assert again.nreplayed == begun.nfev
    assert sum(np.size(x) // 2 for x in calls) == again.nfev - begun.nfev == cost + 1
    np.testing.assert_array_equal(np.ravel(calls[0]), begun.best.x)
    hidden.shift = 5.0
    with pytest.warns(OptimizerWarning, match=r"evaluation \d+ returned .* before and .* now"):
        LBFGSB(maxfun=4 * cost + 1).minimize(fun, START, **given)
    hidden.shift = "a string"
    with pytest.raises(JournalMismatchError, match=r"evaluation \d+ returned .* now") as error:
        LBFGSB(maxfun=40, journal_check="error").minimize(fun, START, **given)
    assert error.value.optimizer_result.nfev == 1


def test_verifying_stays_in_the_budget_and_costs_what_has_ended_nothing(tmp_path):
    path = tmp_path / "run.jsonl"
    calls = []

    def fun(x):
        calls.append(x)
        return rosen(x)

    LBFGSB(maxfun=9).minimize(fun, START, journal=path)
    again = LBFGSB(maxfun=9).minimize(fun, START, journal=Journal(path, verify=3))
    assert len(calls) == again.nfev == again.nreplayed == 9
    whole = LBFGSB().minimize(fun, START, journal=Journal(path, verify=2))
    assert len(calls) == whole.nfev
    LBFGSB().minimize(fun, START, journal=Journal(path, verify=1))
    assert len(calls) == whole.nfev


def test_a_value_within_its_standard_error_is_no_other(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "run.jsonl"

    def fun(x):
        return float(x @ x) + 0.01 * rng.standard_normal(), 0.01

    NELDER_MEAD(maxfun=9).minimize(fun, START, journal=path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = NELDER_MEAD(maxfun=20).minimize(fun, START, journal=Journal(path, verify=5))
    assert again.nreplayed == 9


class Shift:
    def __init__(self, by):
        self.by = by

    def away(self, x):
        return x - self.by


class Twice(Shift):
    def away(self, x):
        return 2 * (x - self.by)


USED = {
    "attribute": (Shift(1.0), Shift(2.0), lambda held, x: held.away(x)),
    "method": (Shift(1.0), Twice(1.0), lambda held, x: held.away(x)),
    "namespace": (
        types.SimpleNamespace(by=1.0),
        types.SimpleNamespace(by=2.0),
        lambda held, x: x - held.by,
    ),
    "functions": ({"f": Shift(1.0).away}, {"f": Twice(1.0).away}, lambda held, x: held["f"](x)),
    "objects": ([Shift(1.0)], [Shift(3.0)], lambda held, x: held[0].away(x)),
}


@pytest.mark.parametrize(("before", "after", "use"), USED.values(), ids=USED)
def test_what_an_object_that_the_function_uses_holds_is_a_part(tmp_path, before, after, use):
    def using(held):
        def fun(x):
            return float((use(held, x) ** 2).sum())

        return fun

    path = tmp_path / "run.jsonl"
    first = LBFGSB().minimize(using(before), START, journal=path)
    again = LBFGSB().minimize(using(before), START, journal=path)
    assert again.nreplayed == first.nfev
    with pytest.warns(OptimizerWarning, match="changed since"):
        LBFGSB().minimize(using(after), START, journal=path)
