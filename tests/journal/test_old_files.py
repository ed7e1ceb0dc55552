"""Journals that earlier versions wrote are resumed: nothing that they hold is evaluated again."""

import json
import shutil
import warnings

import pytest
import scipy

from optimizers import load
from tests.journal import old_files
from tests.traces import rounding

RESULTS = json.loads(old_files.RESULTS.read_text())
WITH = RESULTS.pop("with")
IS_EXACT = rounding() == WITH

pytestmark = pytest.mark.skipif(
    scipy.__version__.split(".")[:2] != WITH["scipy"].split(".")[:2],
    reason="recorded with another SciPy",
)


def resumed(path):
    """Resume a journal; return what is kept of its result, and the number of calls."""
    with warnings.catch_warnings():
        if not IS_EXACT:  # another processor rounds otherwise
            warnings.filterwarnings("ignore", "Evaluation .* differs by")
        result, calls = old_files.run(old_files.case_of(path.name), path)
    return old_files.told(result), calls


def assert_as_recorded(found, case):
    expected = {name: value for name, value in RESULTS[case].items() if name != "calls"}
    numbers = {name: expected.pop(name) for name in ("fun", "x")}
    tolerance = 0 if IS_EXACT else 1e-7
    for name, value in numbers.items():
        assert found.pop(name) == pytest.approx(value, rel=tolerance, abs=tolerance)
    assert found == expected


def test_every_case_has_its_files():
    assert RESULTS.keys() == old_files.CASES.keys()
    there = {path.name for path in old_files.FOLDER.iterdir()}
    assert there == {*old_files.files(), old_files.RESULTS.name}


@pytest.mark.parametrize("name", [name for name in old_files.files() if "_whole" in name])
def test_a_finished_run_is_returned_without_a_call(tmp_path, name):
    path = tmp_path / name
    shutil.copy(old_files.FOLDER / name, path)
    found, calls = resumed(path)
    assert calls == 0
    assert_as_recorded(found, old_files.case_of(name))


@pytest.mark.parametrize("name", [name for name in old_files.files() if "_cut" in name])
def test_a_run_that_was_cut_off_evaluates_what_is_missing(tmp_path, name):
    case = old_files.case_of(name)
    path = tmp_path / name
    shutil.copy(old_files.FOLDER / name, path)
    kept = len(load(path).records)
    assert 0 < kept < RESULTS[case]["calls"]
    found, calls = resumed(path)
    assert calls == RESULTS[case]["calls"] - kept
    assert_as_recorded(found, case)
    assert resumed(path)[1] == 0


@pytest.mark.parametrize("state", ["whole", "cut"])
@pytest.mark.parametrize("case", ["jac", "spsa", "threads"])
def test_other_versions_in_the_header_change_nothing(tmp_path, case, state):
    path = tmp_path / f"{case}_{state}.jsonl"
    head, *rest = (old_files.FOLDER / path.name).read_text().splitlines(keepends=True)
    header = json.loads(head)
    assert header["versions"].keys() >= {"optimizers", "numpy", "scipy", "python"}
    header["versions"] = {
        **header["versions"],
        **{"optimizers": "0.0.1", "numpy": "1.26.0", "scipy": "1.15.0", "python": "3.10.0"},
    }
    path.write_text(json.dumps(header) + "\n" + "".join(rest))
    found, calls = resumed(path)
    kept = len(load(old_files.FOLDER / path.name).records)
    assert calls == RESULTS[case]["calls"] - kept
    assert_as_recorded(found, case)
