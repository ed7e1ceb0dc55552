"""The command ``history``: iterations, evaluations, runs, values and a picture."""

import csv
import io
import re

import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import LBFGSB, NELDER_MEAD, SPSA, Table, load, multistart, race
from optimizers.cli import main
from optimizers.cli.codes import CONVERGED, USAGE

START = [-1.2, 1.0]


def history(*arguments):
    out = io.StringIO()
    assert main(["history", *map(str, arguments)], out) == CONVERGED
    return out.getvalue().splitlines()


@pytest.fixture(autouse=True)
def columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
@pytest.mark.parametrize("maximize", [False, True])
def test_the_iterations_are_those_that_were_printed(tmp_path, name, maximize):
    path, printed = tmp_path / name, io.StringIO()
    sign = -1 if maximize else 1
    table = Table(file=printed)
    LBFGSB(maxfun=60).minimize(
        lambda x: sign * rosen(x), START, journal=path, callback=table, maximize=maximize
    )
    lines = history(path)
    assert re.fullmatch(r"LBFGSB, 2 variables, begun 20\S+", lines[0])
    # Without the column of gradients.
    rows = [line.split() for line in printed.getvalue().splitlines()[1:]]
    assert [line.split() for line in lines[2:-2]] == [[*row[:3], row[4]] for row in rows]
    result = load(path).result
    assert lines[-2] == "Ended: the budget of function evaluations is used up."
    assert lines[-1] == f"60 points, 0 gradients, best f(x) = {result.best.fun!r}"


def test_estimates_are_marked(tmp_path):
    path = tmp_path / "run.jsonl"
    SPSA(maxiter=3).minimize(rosen, START, seed=1, journal=path)
    lines = history(path)[2:-2]
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert all(line.split()[2].startswith("~") for line in lines)


def test_all_shows_each_evaluation_with_its_iteration_and_marks_probes(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=30).minimize(rosen, START, journal=path)
    recording, lines = load(path), history(path, "--all")
    rows = [line.split() for line in lines[2:-2]]
    assert len(rows) == len(recording.records) == 30
    assert [int(row[0]) for row in rows] == list(range(30))
    assert [row[-5] for row in rows] == ["fun", "probe", "probe"] * 10
    iterates = {int(row[1]): row for row in rows if row[2] == "fun"}
    assert list(iterates) == list(range(1, len(recording.iterations) + 1))
    for one in recording.iterations:
        assert float(iterates[one.number][3]) == one.fun
    assert max(map(len, lines)) <= 80


def test_a_row_of_many_variables_fits_the_terminal(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=30).minimize(rosen, [0.123456789] * 20, rosen_der, journal=path)
    lines = history(path, "--all")
    assert max(map(len, lines)) <= 80
    assert all(line.endswith(" ...") for line in lines[2:-2])


def test_the_names_of_variables_are_above_their_values(tmp_path):
    path = tmp_path / "run.jsonl"
    start = {"left": 0.25, "right": [0.5, 0.75]}
    LBFGSB(maxfun=4).minimize(lambda p: p["left"] ** 2 + sum(p["right"]), start, journal=path)
    _, head, first, *_ = history(path, "--all")
    assert head.split()[-3:] == ["left", "right[0]", "right[1]"]
    assert first.split()[-3:] == ["0.25", "0.5", "0.75"]


def test_a_journal_without_iterations_shows_evaluations_and_says_so(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=2).minimize(rosen, START, journal=path)
    lines = history(path)
    assert lines[1] == "No iterations are recorded: these are all evaluations."
    row = lines[3].split()
    assert row == ["0", "fun", repr(float(rosen(START))), row[3], "-1.2", "1"]
    assert lines[:1] + lines[2:] == history(path, "--all")


def test_a_journal_without_evaluations_has_none(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=2).minimize(rosen, START, journal=path)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert history(path)[-2:] == ["Not ended.", "0 points, 0 gradients"]
    assert history(path, "--all")[-2:] == ["Not ended.", "0 points, 0 gradients"]
    assert history(path, "--csv") == ["seq,kind,f,seconds,worker,failure,x0,x1"]


def test_many_runs_have_a_line_each(tmp_path):
    path, starts = tmp_path / "run.jsonl", [START, [0.0, 0.0], [1.0, 2.0]]
    results = LBFGSB(maxfun=12).minimize_many(rosen, starts, journal=path)
    lines = history(path)
    assert lines[0].startswith("minimize_many: LBFGSB, 2 variables, begun ")
    rows = [line.split() for line in lines[2:-2]]
    expected = [
        [str(i), "LBFGSB", str(own.nfev), "0", f"{own.best.fun:.10g}"]
        for i, own in enumerate(results)
    ]
    assert rows == expected
    assert lines[-1].startswith("36 points, 0 gradients, best f(x) = ")
    numbers = [line.split()[0] for line in history(path, "--all")[2:-2]]
    assert set(numbers) == {f"{run}:{i}" for run in range(3) for i in range(12)}


def test_races_and_multistarts_have_a_line_for_each_run(tmp_path):
    path = tmp_path / "race.jsonl"
    race([LBFGSB(), NELDER_MEAD()], rosen, START, maxfun=30, journal=path)
    lines = history(path)
    assert lines[0].startswith("race: LBFGSB, NELDER_MEAD, 2 variables, begun ")
    assert [line.split()[:3] for line in lines[2:-2]] == [
        ["0", "LBFGSB", "30"],
        ["1", "NELDER_MEAD", "30"],
    ]
    path = tmp_path / "multistart.jsonl"
    found = multistart(rosen, [(-2.0, 2.0)] * 2, 100, journal=path)
    rows = history(path)[2:-2]
    assert sum(int(row.split()[2]) for row in rows) == sum(run.nfev for run in found.runs)


def test_comma_separated_values_are_of_every_evaluation(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=30).minimize(rosen, START, journal=path)
    rows = list(csv.DictReader(history(path, "--csv")))
    assert [float(row["f"]) for row in rows] == load(path).values.tolist()
    assert history(path, "--csv", "--all") == history(path, "--csv")


def test_the_history_is_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    path, picture = tmp_path / "run.jsonl", tmp_path / "run.png"
    LBFGSB(maxfun=30).minimize(rosen, START, journal=path)
    assert history(path, "--plot", picture) == history(path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    many = tmp_path / "many.jsonl"
    LBFGSB(maxfun=12).minimize_many(rosen, [START, [0.0, 0.0]], journal=many)
    history(many, "--plot", tmp_path / "many.svg")
    assert "<svg" in (tmp_path / "many.svg").read_text()


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        ("run.txt", "ends in .png, .pdf or .svg"),
        ("missing/run.png", "there is no folder"),
        ("folder.png", "it is a folder, name a file"),
        ("run.png", "has no evaluations to draw"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_named(tmp_path, capsys, picture, message):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    (tmp_path / "folder.png").mkdir()
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=2).minimize(rosen, START, journal=path)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert main(["history", str(path), "--plot", str(tmp_path / picture)], io.StringIO()) == USAGE
    assert message in capsys.readouterr().err
