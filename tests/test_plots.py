import io
import sys

import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import (
    LBFGSB,
    History,
    InvalidInputError,
    MissingExtraError,
    Progress,
    multistart,
    plot_convergence,
)
from optimizers.problems import h2


@pytest.fixture
def history() -> History:
    record, molecule = History(), h2()
    LBFGSB().minimize(molecule, molecule.x0, callback=record)
    return record


def test_the_curve_is_the_iterates_against_the_points_evaluated(history, tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    ax = plot_convergence(history)
    (line,) = ax.lines
    assert np.array_equal(line.get_xdata(), history.nfev)
    assert np.array_equal(line.get_ydata(), history.fun)
    ax.figure.savefig(tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_with_a_known_minimum_the_distance_is_drawn(history) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    ax = plot_convergence(history, minimum=h2().ground_energy)
    assert ax.get_yscale() == "log"
    assert np.all(ax.lines[0].get_ydata() > 0)


def test_an_empty_history_is_an_error() -> None:
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    with pytest.raises(InvalidInputError, match="callback"):
        plot_convergence(History())


def test_the_bar_counts_the_points() -> None:
    pytest.importorskip("tqdm", reason="needs the extra: progress")
    out = io.StringIO()
    bar, molecule = Progress(total=500, file=out), h2()
    result = LBFGSB().minimize(molecule, molecule.x0, callback=bar)
    bar.close()
    assert f"{result.nfev}/500" in out.getvalue()


def test_the_bar_counts_the_points_of_all_runs_to_their_ends() -> None:
    pytest.importorskip("tqdm", reason="needs the extra: progress")
    out = io.StringIO()
    bar = Progress(total=300, file=out)
    found = multistart(rosen, [(-2, 2)] * 2, budget=300, seed=1, callback=bar)
    bar.close()
    assert found.nfev == 300
    assert "300/300" in out.getvalue()


@pytest.mark.parametrize(
    ("module", "package", "use"),
    [
        ("matplotlib.figure", "matplotlib", lambda history: plot_convergence(history)),
        ("tqdm", "tqdm", lambda history: Progress()),
    ],
)
def test_a_missing_extra_is_named(history, monkeypatch, module, package, use) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=f"pip install {package}"):
        use(history)
