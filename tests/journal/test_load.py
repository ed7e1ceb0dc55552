"""What is in a journal can be looked at: as arrays, as a result, as a table."""

import csv
import io
import json
import os
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import optimizers
from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    SPSA,
    TNC,
    Journal,
    OptimizerWarning,
    StopReason,
    TellData,
    load,
    minimize,
)
from optimizers.cli.history import write_csv, write_table
from optimizers.journal import Record

START = [-1.2, 1.0, 0.5]


def both(x):
    return rosen(x), rosen_der(x)


@pytest.mark.parametrize("name", ["run.jsonl", "run.db", "run.sqlite3"])
def test_the_history_is_there_as_arrays(tmp_path, name):
    points, path = [], tmp_path / name

    def fun(x):
        points.append(x.copy())
        return rosen(x)

    result = LBFGSB().minimize(fun, START, rosen_der, journal=path)
    recording = load(path)
    np.testing.assert_array_equal(recording.points, points)
    np.testing.assert_array_equal(recording.values, [rosen(x) for x in points])
    np.testing.assert_array_equal(recording.gradients, [rosen_der(x) for x in points])
    assert recording.failures == [None] * len(points)
    assert recording.workers == [""] * len(points)
    assert recording.seconds.shape == (len(points),)
    assert recording.is_finished
    for key in ("fun", "nfev", "njev", "nit", "message", "stop", "success"):
        assert recording.result[key] == result[key]
    assert recording.header["optimizer"] == "LBFGSB"
    assert recording.header["versions"]["numpy"] == np.__version__


def test_a_run_is_called_by_its_method(tmp_path):
    path, page = tmp_path / "run.jsonl", tmp_path / "run.html"
    minimize(rosen, START, method="l-bfgs-b", journal=path, options={"maxiter": 3})
    recording = load(path)
    assert recording.header["optimizer"] == "SciPyOptimizer"  # the class, which resumes it
    assert repr(recording).startswith("Recording of L-BFGS-B,")
    table = io.StringIO()
    write_table(recording, table)
    assert table.getvalue().startswith("L-BFGS-B, 3 variables")
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    recording.report(page)
    assert "<h1>L-BFGS-B</h1>" in page.read_text()


def test_gradients_that_come_with_the_value_are_there(tmp_path):
    LBFGSB().minimize(both, START, True, journal=tmp_path / "run.jsonl")
    recording = load(tmp_path / "run.jsonl")
    np.testing.assert_array_equal(recording.gradients, [rosen_der(x) for x in recording.points])


def test_without_a_gradient_there_is_none(tmp_path):
    LBFGSB(maxfun=9).minimize(rosen, START, journal=tmp_path / "run.jsonl")
    assert np.isnan(load(tmp_path / "run.jsonl").gradients).all()


def test_a_run_under_way_can_be_looked_at(tmp_path):
    path = tmp_path / "run.jsonl"
    seen = []

    def fun(x):
        if path.exists() and len(path.read_text().splitlines()) > 4:
            seen.append(load(path))
        return rosen(x)

    LBFGSB(maxfun=20).minimize(fun, START, journal=path)
    under_way = seen[0]
    assert not under_way.is_finished
    assert under_way.result.stop is StopReason.INTERRUPTED
    assert under_way.result.nfev == len(under_way.values) == 4
    assert under_way.result.fun == under_way.values.min() == rosen(under_way.result.x)
    assert under_way.result.best.fun == under_way.result.fun


def test_a_journal_with_nothing_but_its_header_has_the_start(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=9).minimize(rosen, START, journal=path)
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    recording = load(path)
    assert recording.points.shape == recording.gradients.shape == (0, 3)
    assert recording.result.fun is None
    assert recording.result.x.tolist() == START


def test_every_line_is_json(tmp_path):
    path = tmp_path / "run.jsonl"
    TNC(on_failure="reject", maxfun=40).minimize(
        lambda x: float("nan") if x[0] > 0 else rosen(x), START, journal=path
    )
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_a_database_has_a_view_with_columns(tmp_path):
    path = tmp_path / "run.db"
    result = LBFGSB().minimize(rosen, START, journal=path)
    assert os.listdir(tmp_path) == ["run.db"]  # nothing is left beside it
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT seq, kind, f FROM evaluations").fetchall()
        (least,) = database.execute("SELECT min(f) FROM evaluations").fetchone()
    database.close()
    assert len(rows) == result.nfev
    assert rows[0] == (0, "fun", rosen(np.array(START)))
    assert least == result.best.fun


def test_both_kinds_hold_the_same(tmp_path):
    for name in ("run.jsonl", "run.db"):
        LBFGSB(maxfun=30).minimize(rosen, START, journal=Journal(tmp_path / name, "never"))
    lines, rows = load(tmp_path / "run.jsonl"), load(tmp_path / "run.db")
    np.testing.assert_array_equal(lines.points, rows.points)
    np.testing.assert_array_equal(lines.values, rows.values)


def test_notes_are_kept(tmp_path):
    notes = {"device": "ibm_nowhere", "calibration": 3}
    journal = Journal(tmp_path / "run.jsonl", notes=notes)
    LBFGSB(maxfun=9).minimize(rosen, START, journal=journal)
    assert load(journal.path).header["notes"] == notes
    assert notes == {"device": "ibm_nowhere", "calibration": 3}


def test_the_table_shows_each_evaluation_and_how_it_ended(tmp_path):
    def fun(x):
        if x[0] > 0.5:
            raise ZeroDivisionError("a bug")
        return rosen(x)

    path = tmp_path / "run.jsonl"
    with pytest.raises(ZeroDivisionError):
        LBFGSB().minimize(fun, START, rosen_der, journal=path)
    recording, table = load(path), io.StringIO()
    write_table(recording, table, with_all=True)
    lines = table.getvalue().splitlines()
    assert lines[0].startswith("LBFGSB, 3 variables, begun 20")
    assert len(lines) == 2 + len(recording.records) + 1 + 2
    assert lines[-3].strip() == "ZeroDivisionError: a bug"
    assert lines[-2] == "Ended by an error: ZeroDivisionError: a bug"
    assert repr(recording.values[0].item()) in lines[2]


def test_the_ends_of_iterations_are_there_as_a_callback_saw_them(tmp_path):
    path, states = tmp_path / "run.jsonl", []
    LBFGSB(maxfun=30).minimize(rosen, START, journal=path)

    def callback(intermediate_result):
        states.append(intermediate_result)

    # What was recorded is told again, and not recorded again.
    LBFGSB(maxfun=80).minimize(rosen, START, journal=path, callback=callback)
    iterations = load(path).iterations
    assert [one.number for one in iterations] == list(range(1, len(states) + 1))
    assert [one.nfev for one in iterations] == [state.nfev for state in states]
    assert [one.fun for one in iterations] == [state.fun for state in states]
    assert [one.best for one in iterations] == [state.best.fun for state in states]
    held = path.read_bytes()
    LBFGSB(maxfun=80).minimize(rosen, START, journal=path)
    assert path.read_bytes() == held


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_value_of_an_iteration_may_be_an_estimate_and_has_the_users_sign(tmp_path, sign):
    path, states = tmp_path / "run.jsonl", []

    def callback(intermediate_result):
        states.append(intermediate_result)

    settings = {"callback": callback, "journal": path, "maximize": sign < 0}
    SPSA(maxiter=5).minimize(lambda x: sign * rosen(x), START, seed=1, **settings)
    iterations = load(path).iterations
    assert len(iterations) == 5
    assert all(one.is_estimate for one in iterations)
    assert [one.fun for one in iterations] == [state.fun for state in states]
    assert [one.best for one in iterations] == [state.best.fun for state in states]


def test_a_run_that_begins_anew_forgets_the_iterations_that_it_does_not_follow(tmp_path):
    path = tmp_path / "run.jsonl"

    def fun(x):
        return rosen(x)

    NELDER_MEAD(maxfun=40).minimize(fun, START, journal=path)
    text = path.read_text().splitlines()
    point = next(i for i, line in enumerate(text) if '"seq":20,' in line)
    other = Record(20, "fun", np.array([9.0, 9.0, 9.0]), rosen([9.0, 9.0, 9.0]))
    text[point] = other.text()
    plain = [re.sub(r',"line":\d+|,"crc":"\w+"', "", line) for line in text]
    path.write_text("\n".join(plain) + "\n")
    with pytest.warns(OptimizerWarning, match="cannot be followed at evaluation 20"):
        NELDER_MEAD(maxfun=60).minimize(fun, START, journal=path)
    recording = load(path)
    numbers = [one.number for one in recording.iterations]
    assert numbers == list(range(1, recording.result.nit + 1))
    counts = [one.nfev for one in recording.iterations]
    assert counts == sorted(counts)


def marks(path):
    """Return which values are those of probes, in the order of asking."""
    records = sorted(load(path).records, key=lambda record: record.seq)
    return [record.is_probe for record in records if record.kind == "fun"]


@pytest.mark.parametrize("workers", [None, lambda: ThreadPoolExecutor(7)], ids=["own", "threads"])
@pytest.mark.parametrize(
    ("jac", "probes"),
    [("2-point", 3), ("3-point", 6), (rosen_der, 0)],
    ids=["2-point", "3-point", "given"],
)
def test_probes_of_a_gradient_are_marked(tmp_path, workers, jac, probes):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=21, eps=1e-7).minimize(rosen, START, jac, journal=path, workers=workers)
    values = marks(path)
    expected = ([False] + [True] * probes) * 21
    assert values == expected[: len(values)]
    LBFGSB(maxfun=40, eps=1e-7).minimize(rosen, START, jac, journal=path, workers=workers)
    values = marks(path)
    assert values == (expected * 2)[: len(values)]


def test_probes_of_many_runs_are_marked(tmp_path):
    path = tmp_path / "many.jsonl"
    LBFGSB(maxfun=8).minimize_many(rosen, [START, [0.0, 0.0, 0.0]], journal=path)
    for run in (0, 1):
        own = [record.is_probe for record in load(path).records if record.run == run]
        assert own == [False, True, True, True] * 2


def test_no_probe_is_marked_where_an_algorithm_asks_for_values(tmp_path):
    path = tmp_path / "run.jsonl"
    NELDER_MEAD(maxfun=20).minimize(rosen, START, journal=path)
    assert not any(record.is_probe for record in load(path).records)


def test_comma_separated_values_are_exact(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=9).minimize(both, START, True, journal=path)
    recording, text = load(path), io.StringIO()
    write_csv(recording, text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert [float(row["f"]) for row in rows] == recording.values.tolist()
    points = [[float(row[f"x{i}"]) for i in range(3)] for row in rows]
    np.testing.assert_array_equal(points, recording.points)
    gradients = [[float(row[f"g{i}"]) for i in range(3)] for row in rows]
    np.testing.assert_array_equal(gradients, recording.gradients)


@pytest.mark.parametrize("jac", [None, True])
def test_a_stepper_has_a_journal_too(tmp_path, jac):
    path, expected = tmp_path / "run.jsonl", LBFGSB().minimize(both if jac else rosen, START, jac)

    def told(ask):
        values = [rosen(x) for x in ask.x_fun]
        return TellData(values, None if jac is None else [rosen_der(x) for x in ask.x_jac])

    with LBFGSB().stepper(START, jac, journal=path) as stepper:
        for _ in range(5):
            ask = stepper.ask()
            stepper.tell(ask, told(ask))
    assert not load(path).result.success
    asked = 0
    with LBFGSB().stepper(START, jac, journal=path) as stepper:
        for ask in stepper:
            asked += len(ask.x_fun)
            stepper.tell(ask, told(ask))
        result = stepper.result()
    assert np.array_equal(result.x, expected.x)
    assert result.nfev == expected.nfev == load(path).result.nfev
    assert 0 < asked < expected.nfev
    stepper = LBFGSB().stepper(START, jac, journal=path)
    assert stepper.done  # there is nothing to ask
    assert stepper.result().nfev == expected.nfev


def test_the_best_point_of_a_recording_has_names(tmp_path):
    path = tmp_path / "run.jsonl"
    start = {"a": 1.0, "b": [2.0]}
    LBFGSB(maxfun=4).minimize(lambda p: p["a"] ** 2 + p["b"][0] ** 2, start, journal=path)
    assert "best x  {'a': 0.552786, 'b[0]': 1.10557}" in repr(load(path))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith('{"end"')))
    assert "best x  {'a': 0.552786, 'b[0]': 1.10557}" in repr(load(path))


def test_public_names():
    assert optimizers.load is load
    assert repr(Journal("a.db", 3)) == "Journal(path='a.db', fsync=3)"
    assert Journal("a.db") == Journal("a.db", notes={"b": 1})
    assert LBFGSB(journal=Journal("a.db")) == LBFGSB(journal=Journal("a.db"))
