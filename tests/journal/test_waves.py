"""What is one wave is the same in a history, a journal, pictures, a progress bar and a report."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import (
    CMAES,
    GSLS,
    LBFGSB,
    LM,
    NELDER_MEAD,
    NFT,
    SLSQP,
    SPSA,
    History,
    load,
    plots,
    residuals,
)

START = [0.3, 0.5, -0.2]


def both(x):
    return rosen(x), rosen_der(x)


@residuals
def distance(x):
    return np.array([x[0] - 1.0, x[1] ** 2 - 1.0, x[2] + x[0]])


def slopes(x):
    return np.array([[1.0, 0.0, 0.0], [0.0, 2.0 * x[1], 0.0], [1.0, 0.0, 1.0]])


CASES = {
    "2-point": (LBFGSB(), rosen, None),
    "relative steps": (LBFGSB(eps=None), rosen, "2-point"),
    "3-point": (LBFGSB(), rosen, "3-point"),
    "cs": (LBFGSB(), rosen, "cs"),
    "given": (LBFGSB(), rosen, rosen_der),
    "both": (LBFGSB(), both, True),
    "rejecting": (LBFGSB(on_failure="reject"), rosen, None),
    "SLSQP": (SLSQP(), rosen, None),
    "values": (NELDER_MEAD(), rosen, None),
    "NFT": (NFT(), rosen, None),
    "SPSA": (SPSA(seed=1), rosen, None),
    "GSLS": (GSLS(seed=1), rosen, None),
    "CMAES": (CMAES(seed=1), rosen, None),
    "fit": (LM(), distance, None),
    "fit with a Jacobian": (LM(), distance, slopes),
}


def seen(history):
    return [evaluated.wave for evaluated in history.evaluations]


@pytest.mark.parametrize(
    ("case", "name"), [*((case, "run.jsonl") for case in CASES), ("2-point", "run.db")]
)
def test_a_journal_knows_the_waves_of_a_run(tmp_path, case, name):
    optimizer, fun, jac = CASES[case]
    history, path = History(), tmp_path / name
    optimizer.minimize(fun, START, jac, maxfun=40, callback=history)
    waves = seen(history)
    assert sorted(set(waves)) == [*range(1, waves[-1] + 1)]
    optimizer.minimize(fun, START, jac, maxfun=40, journal=path)
    assert load(path).waves.tolist() == waves


@pytest.mark.parametrize("case", ["2-point", "3-point", "NFT", "fit"])
def test_a_resumed_run_goes_on_with_the_wave_that_was_under_way(tmp_path, case):
    optimizer, fun, jac = CASES[case]
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    expected = optimizer.minimize(fun, START, jac, maxfun=30, journal=whole)
    written = whole.read_bytes().splitlines(keepends=True)
    for count in (3, 4, 5, 9, 11):
        cut.write_bytes(b"".join(written[:count]))
        result = optimizer.minimize(fun, START, jac, maxfun=30, journal=cut)
        assert (result.nfev, result.fun) == (expected.nfev, expected.fun)
        assert load(cut).waves.tolist() == load(whole).waves.tolist()


def test_a_journal_with_listeners_and_workers_has_the_same_waves(tmp_path):
    history = History()
    LBFGSB().minimize(rosen, START, maxfun=40, callback=history, journal=tmp_path / "a.jsonl")
    assert load(tmp_path / "a.jsonl").waves.tolist() == seen(history)
    history = History()
    how = {"workers": ThreadPoolExecutor(4), "callback": history}
    LBFGSB().minimize(rosen, START, maxfun=40, journal=tmp_path / "b.jsonl", **how)
    assert load(tmp_path / "b.jsonl").waves.tolist() == seen(history)


def test_many_runs_share_waves(tmp_path):
    history, path = History(), tmp_path / "many.jsonl"
    optimizer, starts = LBFGSB(maxfun=24), [[1.0, 1.0, 1.0], START, [0.0, 0.0, 0.0]]
    optimizer.minimize_many(rosen, starts, callback=history, journal=path)
    assert load(path).waves.tolist() == seen(history)
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    for run in (history, path):
        assert plots.waves(run).axes[0].get_title().startswith(f"{seen(history)[-1]} waves;")
        # Each run is drawn by the waves that it took part in.
        lines = plots.convergence(run, by="waves").axes[0].lines
        curves = [line for line in lines if line.get_drawstyle() == "steps-post"]
        for i, curve in enumerate(curves):
            own = {e.wave for e in history.evaluations if e.run == i}
            assert curve.get_xdata()[-1] == len(own)
        assert len(curves) == len(starts)


def test_pictures_and_a_report_count_the_waves_of_a_journal(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    history, path = History(), tmp_path / "run.jsonl"
    LBFGSB().minimize(rosen, START, maxfun=40, callback=history)
    result = LBFGSB().minimize(rosen, START, maxfun=40, journal=path)
    drawn = [plots.convergence(run, by="waves").axes[0].lines[0] for run in (history, path)]
    np.testing.assert_array_equal(drawn[0].get_xydata(), drawn[1].get_xydata())
    count = seen(history)[-1]
    assert plots.waves(path).axes[0].get_title().startswith(f"{count} waves;")
    page = (tmp_path / "run.html").as_posix()
    result.report(page)
    with open(page, encoding="utf-8") as file:
        assert re.search(rf">waves</span><b>{count}</b>", file.read())
