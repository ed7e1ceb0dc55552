"""What is printed at each level of iprint, disp and messages, word by word."""

import re
import warnings

import numpy as np
import pytest
import scipy
from scipy.optimize import rosen, rosen_der

from optimizers import (
    MSG_ALL,
    MSG_EXIT,
    MSG_INFO,
    MSG_ITER,
    MSG_NONE,
    MSG_VERS,
    RCSTRINGS,
    fmin_l_bfgs_b,
    fmin_tnc,
    minimize_lbfgsb,
    minimize_tnc,
)

X0 = [-1.2, 1.0]
ITERATE = re.compile(r"^At iterate +(\d+)    f= +(\S+)    \|proj g\|= +(\S+)$", re.MULTILINE)
LAST = re.compile(
    r"^L-BFGS-B  n 2  iterations (\d+)  points (\d+)  \|proj g\| (\S+)  f (\S+)  (.+)$",
    re.MULTILINE,
)
CONVERGED = "CONVERGENCE: RELATIVE REDUCTION OF F <= FACTR*EPSMCH"
#: x[0] meets its upper bound at once and leaves it never; x[1] has none.
BOX = [(None, 0.5), (None, None)]


def lbfgsb(**options):
    return minimize_lbfgsb(rosen, X0, jac=rosen_der, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"iprint": -1}, {"iprint": -5}, {"disp": 0}, {"disp": False}, {"disp": -1},
     {"iprint": 101, "disp": 0}],
)  # fmt: skip
def test_nothing_is_printed_below_0(options: dict, capsys: pytest.CaptureFixture) -> None:
    lbfgsb(**options)
    fmin_l_bfgs_b(rosen, X0, rosen_der, **options)
    assert capsys.readouterr() == ("", "")


def test_0_prints_one_line_at_the_last_iteration(capsys: pytest.CaptureFixture) -> None:
    result = lbfgsb(iprint=0)
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    (nit, points, norm, f, words), *others = LAST.findall(out)
    assert not others
    assert (int(nit), int(points), words) == (result.nit, result.nfev, CONVERGED)
    assert float(norm) == pytest.approx(np.abs(result.jac).max(), rel=1e-5)
    assert float(f) == pytest.approx(result.fun, rel=1e-7)


@pytest.mark.parametrize("level", [1, 5, 7, 98])
def test_below_99_f_and_the_gradient_come_every_so_many(
    level: int, capsys: pytest.CaptureFixture
) -> None:
    seen = {0: rosen(X0)}
    norms = {0: np.abs(rosen_der(X0)).max()}

    def callback(intermediate_result) -> None:
        seen[intermediate_result.nit] = intermediate_result.fun
        norms[intermediate_result.nit] = np.abs(intermediate_result.jac).max()

    result = lbfgsb(iprint=level, callback=callback)
    out = capsys.readouterr().out
    rows = ITERATE.findall(out)
    assert [int(row[0]) for row in rows] == list(range(0, result.nit + 1, level))
    for number, f, norm in rows:
        assert float(f) == pytest.approx(seen[int(number)], rel=1e-5)
        assert float(norm) == pytest.approx(norms[int(number)], rel=1e-5)
    assert len(out.splitlines()) == len(rows) + 1
    assert LAST.search(out.splitlines()[-1])


def test_99_gives_details_of_each_iteration_but_no_vectors(capsys: pytest.CaptureFixture) -> None:
    result = lbfgsb(iprint=99, bounds=BOX)
    out = capsys.readouterr().out
    assert len(ITERATE.findall(out)) == result.nit + 1
    steps = re.findall(r"^    points evaluated (\d+), norm of step \S+$", out, re.MULTILINE)
    assert len(steps) == result.nit
    assert sum(map(int, steps)) == result.nfev - 1
    assert len(re.findall(r"variables at bounds \d of 2", out)) == result.nit + 1
    assert "X =" not in out
    assert "G =" not in out
    assert "active set" not in out
    assert LAST.search(out.splitlines()[-1])


def test_100_gives_changes_of_the_active_set_and_the_final_x(capsys: pytest.CaptureFixture) -> None:
    result = lbfgsb(iprint=100, bounds=BOX)
    lines = capsys.readouterr().out.splitlines()
    assert result.x[0] == 0.5
    assert sum("active set: met [0]" in line for line in lines) >= 1
    assert "active set: left [0]" not in "\n".join(lines)
    assert LAST.search(lines[-2])
    assert lines[-1] == f"    X = [{result.x[0]:.4E} {result.x[1]:.4E}]"
    assert sum("X =" in line for line in lines) == 1
    assert not any("G =" in line for line in lines)


def test_a_variable_that_leaves_its_bound_is_said(capsys: pytest.CaptureFixture) -> None:
    minimize_lbfgsb(rosen, [0.0, 0.0], jac=rosen_der, bounds=[(0, 1), (0, None)], iprint=100)
    out = capsys.readouterr().out
    assert "active set: met [0, 1]" in out
    assert re.search(r"active set: .*left \[\d", out)


def test_above_100_x_and_g_come_with_each_iteration(capsys: pytest.CaptureFixture) -> None:
    points = [np.array(X0)]
    result = lbfgsb(iprint=101, callback=lambda x: points.append(x), bounds=BOX)
    out = capsys.readouterr().out
    shown = re.findall(r"^    X = \[(.*)\]$", out, re.MULTILINE)
    gradients = re.findall(r"^    G = \[(.*)\]$", out, re.MULTILINE)
    assert len(shown) == result.nit + 2  # the start, each iteration, and the final x
    assert len(gradients) == result.nit + 1
    for text, x in zip(shown, [*points, result.x], strict=True):
        assert np.allclose([float(word) for word in text.split()], x, rtol=1e-4)
    for text, x in zip(gradients, points, strict=True):
        assert np.allclose([float(word) for word in text.split()], rosen_der(x), rtol=1e-4)


def test_disp_overrides_iprint(capsys: pytest.CaptureFixture) -> None:
    outputs = []
    for options in ({"iprint": 5}, {"disp": 5}, {"disp": 5, "iprint": 101}, {"iprint": 1},
                    {"disp": True}, {"disp": 1, "iprint": -1}):  # fmt: skip
        fmin_l_bfgs_b(rosen, X0, rosen_der, **options)
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    assert outputs[3] == outputs[4] == outputs[5]
    assert outputs[0] != outputs[3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"maxfun": 7}, "STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT"),
        ({"maxiter": 3}, "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"),
        ({"maxiter": 0}, "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"),
        ({"callback": lambda x: True}, "STOP: CALLBACK REQUESTED HALT"),
    ],
    ids=["maxfun", "maxiter", "maxiter=0", "callback"],
)
@pytest.mark.parametrize("level", [0, 1])
def test_the_last_line_comes_however_the_run_ends(
    level: int, options: dict, words: str, capsys: pytest.CaptureFixture
) -> None:
    result = lbfgsb(iprint=level, **options)
    lines = capsys.readouterr().out.splitlines()
    assert lines
    match = LAST.search(lines[-1])
    assert match
    assert match[5] == words == result.message
    assert (int(match[1]), int(match[2])) == (result.nit, result.nfev)


@pytest.mark.parametrize("level", [-1, 0, 1, 5, 99, 100, 101])
@pytest.mark.parametrize("jac", [rosen_der, None])
def test_printing_changes_nothing_and_deprecates_nothing(level: int, jac) -> None:
    plain = minimize_lbfgsb(rosen, X0, jac=jac, bounds=BOX)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = minimize_lbfgsb(rosen, X0, jac=jac, bounds=BOX, iprint=level)
        shown = minimize_lbfgsb(rosen, X0, jac=jac, bounds=BOX, disp=level)
    for other in (result, shown):
        assert np.array_equal(other.x, plain.x)
        assert (other.nfev, other.nit, other.message) == (plain.nfev, plain.nit, plain.message)


def test_scipys_minimize_passes_the_options_on(capsys: pytest.CaptureFixture) -> None:
    scipy.optimize.minimize(rosen, X0, jac=rosen_der, method=minimize_lbfgsb, options={"iprint": 0})
    assert LAST.match(capsys.readouterr().out)
    scipy.optimize.minimize(rosen, X0, jac=rosen_der, method=minimize_tnc, options={"disp": True})
    assert "tnc:" in capsys.readouterr().out


# TNC.

HEAD = "  NIT   NF   F                       GTG"
ROW = re.compile(r"^ +(\d+) +(\d+) +(-?\d\.\d{15}E[+-]\d\d) +(\d\.\d{8}E[+-]\d\d)$", re.MULTILINE)


def tnc(messages: int, **options):
    return fmin_tnc(rosen, X0, rosen_der, bounds=BOX, messages=messages, **options)


def test_no_messages_print_nothing(capsys: pytest.CaptureFixture) -> None:
    tnc(MSG_NONE)
    tnc(MSG_ALL, disp=0)
    minimize_tnc(rosen, X0, jac=rosen_der)
    minimize_tnc(rosen, X0, jac=rosen_der, mesg_num=0, disp=True)
    assert capsys.readouterr() == ("", "")


def test_msg_iter_is_one_line_per_iteration(capsys: pytest.CaptureFixture) -> None:
    states = []

    def callback(intermediate_result) -> None:
        states.append(intermediate_result)

    fmin_tnc(rosen, X0, rosen_der, messages=MSG_ITER, callback=callback)
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == HEAD
    rows = ROW.findall(out)
    assert len(rows) == len(lines) - 1 == len(states) + 1
    assert (rows[0][0], rows[0][1]) == ("0", "1")
    assert float(rows[0][2]) == pytest.approx(rosen(X0))
    for row, state in zip(rows[1:], states, strict=True):
        assert (int(row[0]), int(row[1])) == (state.nit, state.nfev)
        assert float(row[2]) == pytest.approx(state.fun, rel=1e-14)
        assert float(row[3]) == pytest.approx(float(state.jac @ state.jac), rel=1e-7)


def test_msg_info_tells_of_bounds(capsys: pytest.CaptureFixture) -> None:
    x, _, _ = tnc(MSG_INFO)
    assert x[0] == 0.5
    lines = capsys.readouterr().out.splitlines()
    assert "tnc: bounds met [0]" in lines
    assert all(re.fullmatch(r"tnc: bounds (met \[0\]|left \[0\])", line) for line in lines)


def test_msg_vers_is_the_version(capsys: pytest.CaptureFixture) -> None:
    tnc(MSG_VERS)
    out = capsys.readouterr().out
    assert out == f"tnc: truncated Newton, the C implementation in SciPy {scipy.__version__}\n"


@pytest.mark.parametrize(
    "options",
    [
        {"func": lambda x: None},
        {"bounds": [(1, 0), (0, 1)]},
        {"bounds": [(-1.2, -1.2), (1, 1)]},
        {"maxfun": 1},
    ],
    ids=["none", "infeasible", "fixed", "maxfun"],
)
def test_the_version_comes_first_however_soon_the_run_ends(
    options: dict, capsys: pytest.CaptureFixture
) -> None:
    fmin_tnc(**{"func": rosen, "x0": X0, "fprime": rosen_der, **options})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tnc: truncated Newton")
    assert sum(line.startswith("tnc: truncated Newton") for line in lines) == 1
    assert lines[-1].startswith("tnc: ")


def test_msg_exit_is_the_reason(capsys: pytest.CaptureFixture) -> None:
    _, _, rc = tnc(MSG_EXIT)
    assert capsys.readouterr().out == f"tnc: {RCSTRINGS[rc]}\n"


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (-1, {"bounds": [(1, 0), (0, 1)]}),
        (2, {"xtol": 1e-2}),
        (3, {"maxfun": 5}),
        (5, {"bounds": [(-1.2, -1.2), (1, 1)]}),
        (7, {"callback": lambda x: True}),
        (7, {"func": lambda x: None}),
    ],
    ids=["infeasible", "x", "maxfun", "fixed", "callback", "none"],
)
def test_the_reason_is_printed_however_the_run_ends(
    code: int, options: dict, capsys: pytest.CaptureFixture
) -> None:
    arguments = {"func": rosen, "x0": X0, "fprime": rosen_der, "messages": MSG_EXIT, **options}
    assert fmin_tnc(**arguments)[2] == code
    assert capsys.readouterr().out == f"tnc: {RCSTRINGS[code]}\n"


def test_all_messages_are_each_of_them(capsys: pytest.CaptureFixture) -> None:
    alone = []
    for bit in (MSG_ITER, MSG_INFO, MSG_VERS, MSG_EXIT):
        tnc(bit)
        alone += capsys.readouterr().out.splitlines()
    tnc(MSG_ALL)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(alone)
    assert lines[0].startswith("tnc: truncated Newton")
    assert lines[1] == HEAD
    assert lines[-1].startswith("tnc: ")
    fmin_tnc(rosen, X0, rosen_der, bounds=BOX)
    assert capsys.readouterr().out.splitlines() == lines  # the default


def test_disp_is_the_integer_interface_to_messages(capsys: pytest.CaptureFixture) -> None:
    masks = {0: MSG_NONE, 1: MSG_ITER, 2: MSG_INFO, 3: MSG_VERS, 4: MSG_EXIT, 5: MSG_ALL}
    for level, mask in masks.items():
        tnc(mask)
        expected = capsys.readouterr().out
        tnc(MSG_ALL, disp=level)
        assert capsys.readouterr().out == expected, level
        minimize_tnc(rosen, X0, jac=rosen_der, bounds=BOX, mesg_num=level)
        assert capsys.readouterr().out == expected, level
    minimize_tnc(rosen, X0, jac=rosen_der, bounds=BOX, disp=True)
    assert capsys.readouterr().out == expected  # all


@pytest.mark.parametrize("messages", [0, 1, 2, 4, 8, 15])
@pytest.mark.parametrize("approx_grad", [False, True])
def test_messages_change_nothing(messages: int, approx_grad: bool) -> None:
    arguments = {"approx_grad": approx_grad, "bounds": BOX}
    fprime = None if approx_grad else rosen_der
    x, nfeval, rc = fmin_tnc(rosen, X0, fprime, messages=messages, **arguments)
    plain = fmin_tnc(rosen, X0, fprime, messages=0, **arguments)
    assert np.array_equal(x, plain[0])
    assert (nfeval, rc) == plain[1:]
