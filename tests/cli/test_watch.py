"""The command ``watch``, and studies of optuna's made of journals."""

import io
import threading
import time

import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import LBFGSB, NELDER_MEAD, load, race
from optimizers.cli import main


def test_a_run_that_ended_is_shown_as_it_ended(tmp_path):
    pytest.importorskip("rich", reason="needs the extra: watch")
    path, out = tmp_path / "run.jsonl", io.StringIO()
    result = LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=50, journal=path)
    assert main(["watch", str(path)], out) == 0
    assert "the budget of function evaluations is used up" in out.getvalue()
    assert f"{result.nfev} of 50" in out.getvalue()
    assert f"{result.best.fun:.8g}" in out.getvalue()


def test_the_limit_of_an_earlier_part_of_a_run_is_not_shown(tmp_path):
    pytest.importorskip("rich", reason="needs the extra: watch")
    path, out = tmp_path / "run.jsonl", io.StringIO()
    LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=10, journal=path)
    again = LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=30, journal=path)
    assert again.nfev > 10
    assert main(["watch", str(path)], out) == 0
    assert " of 10" not in out.getvalue()


@pytest.mark.parametrize("columns", [40, 80])
def test_the_view_fits_the_terminal_and_has_what_matters(tmp_path, monkeypatch, columns):
    pytest.importorskip("rich", reason="needs the extra: watch")
    monkeypatch.setenv("COLUMNS", str(columns))
    path, out = tmp_path / "many.jsonl", io.StringIO()
    LBFGSB(maxfun=40).minimize_many(rosen, [[-1.2, 1.0], [0.0, 0.0]], journal=path)
    assert main(["watch", str(path)], out) == 0
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    assert "points           80 " in out.getvalue()  # of a limit that is not known
    assert ("seconds  " in out.getvalue()) == (columns == 80)
    assert "worker" not in out.getvalue()
    assert f"{load(path).values[-1]:.8g}" in out.getvalue()


@pytest.mark.parametrize("named", [False, True])
def test_where_there_is_little_room_the_points_are_cut_and_the_values_are_not(
    tmp_path, monkeypatch, named
):
    pytest.importorskip("rich", reason="needs the extra: watch")
    monkeypatch.setenv("COLUMNS", "80")
    path, out, start = tmp_path / "run.jsonl", io.StringIO(), np.linspace(-1.2, 1.3, 6)
    if named:
        names = [f"a_rather_long_name_{i}" for i in range(6)]
        start = dict(zip(names, start.tolist(), strict=True))
    LBFGSB(maxfun=40).minimize(
        lambda x: rosen(list(x.values()) if named else x), start, journal=path
    )
    assert main(["watch", str(path), "--once"], out) == 0
    head, _, *rows = out.getvalue().split("eval ")[1].splitlines()
    assert head.split()[:2] == ["f(x)", "seconds"]
    assert max(map(len, out.getvalue().splitlines())) <= 80
    for row, value in zip(rows, load(path).values[-8:], strict=False):
        assert f"{value:.8g}" in row


@pytest.mark.parametrize("n", [2, 9])
def test_variables_with_names_have_columns(tmp_path, n):
    pytest.importorskip("rich", reason="needs the extra: watch")
    path, out = tmp_path / "run.jsonl", io.StringIO()
    names = [f"v{i}" for i in range(n)]
    race(
        [LBFGSB(), NELDER_MEAD()],
        lambda p: sum((p[name] - 0.25) ** 2 for name in names),
        dict.fromkeys(names, 0.5),
        budget=40,
        journal=path,
    )
    assert main(["watch", str(path)], out) == 0
    assert "race: LBFGSB, NELDER_MEAD" in out.getvalue()
    head = next(line for line in out.getvalue().splitlines() if "eval" in line)
    shown = names if n == 2 else ["v0", "v1", "...", "v7", "v8"]
    assert head.split()[1:-1] == ["eval", "f(x)", "seconds", *shown]
    assert f" {load(path).points[-1][-1]:.5g} " in out.getvalue()


def test_the_best_of_what_is_maximized_rises(tmp_path):
    pytest.importorskip("rich", reason="needs the extra: watch")
    path, out = tmp_path / "run.jsonl", io.StringIO()
    settings = {"maxfun": 40, "maximize": True, "journal": path}
    NELDER_MEAD().minimize(lambda x: -rosen(x), [-1.2, 1.0], **settings)
    assert main(["watch", str(path)], out) == 0
    curve = next(line for line in out.getvalue().splitlines() if "▁" in line)
    assert curve.index("▁") < curve.index("█")


def test_a_run_under_way_is_followed_to_its_end(tmp_path):
    pytest.importorskip("rich", reason="needs the extra: watch")
    path, out, begun = tmp_path / "run.jsonl", io.StringIO(), threading.Event()

    def fun(x):
        if path.stat().st_size > 2000:
            begun.set()
            time.sleep(0.02)
        return rosen(x)

    settings = {"maxfun": 60, "journal": path}
    run = threading.Thread(
        target=NELDER_MEAD().minimize, args=(fun, [-1.2, 1.0]), kwargs=settings, daemon=True
    )
    run.start()
    assert begun.wait(60)
    assert main(["watch", str(path), "--once"], before := io.StringIO()) == 0
    assert main(["watch", str(path)], out) == 0
    run.join(60)
    assert "under way" in before.getvalue()
    assert "60 of 60" in out.getvalue()
    assert "is used up" in out.getvalue()


def test_the_error_that_ended_a_run_is_shown(tmp_path):
    pytest.importorskip("rich", reason="needs the extra: watch")
    path, out = tmp_path / "run.jsonl", io.StringIO()

    def fun(x):
        raise LookupError("[bold]mine")

    with pytest.raises(LookupError):
        LBFGSB().minimize(fun, [1.0], journal=path)
    assert main(["watch", str(path)], out) == 0
    assert "LookupError: [bold]mine" in out.getvalue()


def test_a_journal_is_a_study_with_a_trial_for_each_evaluation(tmp_path):
    optuna = pytest.importorskip("optuna", reason="needs the extra: optuna")
    path, storage = tmp_path / "run.jsonl", optuna.storages.InMemoryStorage()

    def fun(x):
        if x[0] < -1.5:
            raise ValueError("mine")
        return rosen(x)

    bounds = [(-3, 2), (None, None)]
    NELDER_MEAD().minimize(
        fun, [-1.45, 1.0], bounds=bounds, maxfun=40, journal=path, on_failure="reject"
    )
    recording = load(path)
    study = recording.to_optuna(storage, "mine")
    assert [s.study_name for s in optuna.get_all_study_summaries(storage)] == ["mine"]
    assert study.best_value == recording.result.best.fun
    points = [[trial.params["x[0]"], trial.params["x[1]"]] for trial in study.trials]
    np.testing.assert_array_equal(points, recording.points)
    failed = [trial for trial in study.trials if trial.state.name == "FAIL"]
    assert len(failed) == sum(failure is not None for failure in recording.failures) > 0
    assert "mine" in failed[0].user_attrs["failure"]
    space = study.trials[0].distributions["x[0]"]
    assert (space.low, space.high) == (-3, 2)
