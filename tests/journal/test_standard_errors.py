import itertools
import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from optimizers import BFGS, LBFGSB, NELDER_MEAD, load, vectorized
from optimizers.journal.records import Record
from optimizers.run.waves import Waves

START = np.array([1.0, -2.0, 0.5])


def value_at(x):
    return float(((x - 0.25) ** 2).sum())


def error_at(x):
    return math.nan if x[0] == 1.0 else 0.01 + abs(float(x[1]))


def pair(x):
    return value_at(x), error_at(x)


@vectorized
def stack(points):
    return [pair(x) for x in points]


def flat(points):
    rows = points.reshape(-1, 3)
    return [value_at(x) for x in rows], [error_at(x) for x in rows]


WAYS = {
    "serial": (LBFGSB, pair, {}),
    "values alone": (NELDER_MEAD, pair, {}),
    "gradient": (BFGS, pair, {"jac": lambda x: 2 * (x - 0.25)}),
    "retries": (NELDER_MEAD, pair, {"retries": 1}),
    "stack": (LBFGSB, stack, {}),
    "groups": (lambda: LBFGSB(max_evals_grouped=2), flat, {}),
    "map": (LBFGSB, pair, {"workers": map}),
    "threads": (LBFGSB, pair, {"workers": lambda: ThreadPoolExecutor(2)}),
}


def test_a_record_keeps_an_error_to_the_last_bit_and_has_no_field_without():
    told = Record(0, "fun", START, 1.5, error=0.1 + 0.2)
    assert Record.from_entry(json.loads(told.text())).error == 0.1 + 0.2
    plain = Record(0, "fun", START, 1.5)
    assert "se" not in json.loads(plain.text())
    assert Record.from_entry(json.loads(plain.text())).error is None


@pytest.mark.parametrize("suffix", ["jsonl", "sqlite"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_evaluating_records_the_same_errors(tmp_path, way, suffix):
    make, fun, settings = WAYS[way]
    path = str(tmp_path / f"run.{suffix}")
    result = make().minimize(fun, START, journal=path, maxfun=40, **settings)
    recording = load(path)
    assert len(recording.errors) == result.nfev
    np.testing.assert_array_equal(recording.values, [value_at(x) for x in recording.points])
    np.testing.assert_array_equal(recording.errors, [error_at(x) for x in recording.points])
    assert np.isnan(recording.errors).any()
    assert np.isfinite(recording.errors).any()


def test_what_tells_no_errors_records_none(tmp_path):
    path = str(tmp_path / "run.jsonl")
    LBFGSB().minimize(value_at, START, journal=path)
    assert np.isnan(load(path).errors).all()
    assert '"se"' not in (tmp_path / "run.jsonl").read_text()


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_run_gets_the_same_errors_back(tmp_path, monkeypatch, way):
    make, fun, settings = WAYS[way]
    path, seen = str(tmp_path / "run.jsonl"), []
    take = Waves.take

    def noting(self, blocks, *args, **kwargs):
        try:
            return take(self, blocks, *args, **kwargs)
        finally:
            seen.extend(block.errors.copy() for block in blocks)

    monkeypatch.setattr(Waves, "take", noting)
    whole = make().minimize(fun, START, journal=path, journal_check="off", maxfun=40, **settings)
    first = seen.copy()
    seen.clear()

    def never(x):
        raise AssertionError("It is all recorded.")

    again_fun = vectorized(never) if way == "stack" else never
    again = make().minimize(
        again_fun, START, journal=path, journal_check="off", maxfun=40, **settings
    )
    np.testing.assert_array_equal(again.x, whole.x)
    assert len(first) == len(seen)
    for one, other in zip(first, seen, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_killed_run_goes_on_with_errors(tmp_path):
    path, count = str(tmp_path / "run.jsonl"), itertools.count()

    def killed(x):
        if next(count) == 9:
            raise KeyboardInterrupt
        return pair(x)

    with pytest.raises(KeyboardInterrupt):
        LBFGSB().minimize(killed, START, journal=path, journal_check="off")
    result = LBFGSB().minimize(pair, START, journal=path, journal_check="off")
    recording = load(path)
    assert len(recording.errors) == result.nfev
    np.testing.assert_array_equal(recording.errors, [error_at(x) for x in recording.points])
