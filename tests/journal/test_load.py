"""What is in a journal can be looked at: as arrays, as a result, as a table."""

import csv
import io
import json
import os
import sqlite3

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import optimizers
from optimizers import LBFGSB, TNC, Journal, StopReason, TellData, load
from optimizers.cli.history import write_csv, write_table

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
    write_table(recording, table)
    lines = table.getvalue().splitlines()
    assert lines[0].startswith("LBFGSB, 3 variables, begun 20")
    assert len(lines) == 2 + len(recording.records) + 1 + 2
    assert lines[-3].strip() == "ZeroDivisionError: a bug"
    assert lines[-2] == "Ended by an error: ZeroDivisionError: a bug"
    assert repr(recording.values[0].item()) in lines[2]


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


def test_public_names():
    assert optimizers.load is load
    assert repr(Journal("a.db", 3)) == "Journal(path='a.db', fsync=3)"
    assert Journal("a.db") == Journal("a.db", notes={"b": 1})
    assert LBFGSB(journal=Journal("a.db")) == LBFGSB(journal=Journal("a.db"))
