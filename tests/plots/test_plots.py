import base64
import pickle
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    NFT,
    SPSA,
    History,
    InvalidInputError,
    MissingExtraError,
    NonFiniteValueError,
    Param,
    Progress,
    load,
    multistart,
    plot_convergence,
    plots,
    residuals,
    vectorized,
)
from optimizers.evaluation.listened import Evaluated
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


def test_a_run_without_any_value_is_an_error() -> None:
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    history = History()
    with pytest.raises(NonFiniteValueError):
        LBFGSB().minimize(lambda x: np.nan, [1.0, 2.0], callback=history)
    for draw in (plots.parameters, plots.slices):
        with pytest.raises(InvalidInputError, match="No point"):
            draw(history)


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


def recorded(optimizer=None, fun=rosen, **settings):
    history = History()
    result = (optimizer or LBFGSB()).minimize(fun, [-1.2, 1.0], callback=history, **settings)
    return history, result


def lines(figure):
    return figure.axes[0].lines


@pytest.fixture
def path(tmp_path):
    LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=60, journal=tmp_path / "run.jsonl")
    return tmp_path / "run.jsonl"


def test_whatever_has_a_record_of_a_run_is_drawn_alike(path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    history, result = recorded(maxfun=60)
    resumed = LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=60, journal=path)
    drawn = [
        lines(plots.convergence(run))[0].get_xydata()
        for run in (history, result, path, str(path), load(path), resumed, pickle_of(result))
    ]
    for other in drawn:
        np.testing.assert_array_equal(other, drawn[0])
    assert drawn[0][0].tolist() == [1.0, rosen([-1.2, 1.0])]  # the start
    (curve, *_) = lines(plots.convergence(result, names=["mine"]))
    assert curve.get_label() == "mine"
    assert drawn[0][-1].tolist() == [result.nfev, result.best.fun]


def pickle_of(result):
    return pickle.loads(pickle.dumps(result))


def test_a_result_without_a_record_says_what_to_do():
    result = LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=20)
    with pytest.raises(InvalidInputError, match=r"callback=History\(\), or with a journal"):
        plots.convergence(result)
    with pytest.raises(InvalidInputError, match="expected a History"):
        plots.convergence(3)


@pytest.mark.parametrize("by", ["evaluations", "waves", "shots", "seconds"])
def test_several_runs_are_drawn_by_name_against_what_they_took(by):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    runs = {"one": recorded()[0], "two": recorded(NELDER_MEAD())[1]}
    figure = plots.convergence(runs, by=by, minimum=0.0, shots=100)
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    assert ax.get_yscale() == "log"
    ends = [line.get_xdata().max() for line in ax.lines if line.get_drawstyle() == "steps-post"]
    if by in ("evaluations", "shots"):
        factor = 100 if by == "shots" else 1
        assert ends == [len(runs["one"].evaluations) * factor, runs["two"].nfev * factor]
    if by == "waves":  # Nelder-Mead asks one point at a time, differences all their probes
        assert ends == [runs["one"].evaluations[-1].wave, runs["two"].nfev]
    with pytest.raises(InvalidInputError, match="2 runs"):
        plots.convergence(runs, names=["one"])


def test_recorded_shots_are_drawn_without_saying_their_number(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    energy, history, path = h2(noise_seed=1), History(), str(tmp_path / "run.jsonl")
    how = {"shots": 50, "callback": history, "journal": path}
    result = SPSA(maxiter=3, seed=1).minimize(energy.measured, energy.x0, **how)
    for record in (history, path, result):
        line = plots.convergence(record, by="shots").axes[0].lines[0]
        assert line.get_xdata().tolist() == [50.0 * (i + 1) for i in range(result.nfev)]
    plain = History()
    SPSA(maxiter=1, seed=1).minimize(energy, energy.x0, callback=plain)
    with pytest.raises(InvalidInputError, match="does not have their number: pass shots"):
        plots.convergence(plain, by="shots")


def test_results_of_many_runs_know_their_journal(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    starts, journal = [[-1.2, 1.0], [0.5, 0.5], [2.0, 2.0]], tmp_path / "many.jsonl"
    results = LBFGSB().minimize_many(rosen, starts, journal=journal)
    ends = [line.get_xydata()[-1].tolist() for line in lines(plots.convergence(results))]
    assert ends == [[r.nfev, r.best.fun] for r in results]
    (line,) = lines(plots.convergence(results[1]))
    assert line.get_xydata()[-1].tolist() == ends[1]


def test_many_runs_are_a_band_and_a_median():
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    results = LBFGSB().minimize_many(
        rosen, np.random.default_rng(1).uniform(-2, 2, (10, 2)), callback=History()
    )
    figure = plots.convergence(results)
    assert len(lines(figure)) == 2
    assert lines(figure)[1].get_ydata()[-1] == min(r.best.fun for r in results)
    assert len(lines(plots.convergence(results, band=False))) > 10


def test_runs_of_the_same_name_are_a_band_of_their_own():
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    starts = np.random.default_rng(1).uniform(-2, 2, (3, 2))
    runs = {
        "one": LBFGSB().minimize_many(rosen, starts, callback=History()),
        "other": NELDER_MEAD(maxiter=20).minimize_many(rosen, starts, callback=History()),
        "alone": LBFGSB().minimize(rosen, starts[0], callback=History()),
    }
    figure = plots.convergence(runs)
    labels = [line.get_label() for line in lines(figure)]
    assert labels == ["one: median of 3", "other: median of 3", "alone"]
    for line, own in zip(lines(figure), runs.values(), strict=True):
        ends = [r.best.fun for r in (own if isinstance(own, list) else [own])]
        assert line.get_ydata()[-1] == np.median(ends)
    colors = [line.get_color() for line in lines(figure)]
    assert len(set(colors)) == 3


@pytest.mark.parametrize("by", ["evaluations", "waves"])
def test_under_noise_the_true_values_of_the_iterates_can_be_drawn(by):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    exact, sampled = h2(), h2(shots=100, noise_seed=1)
    history = History()
    start = {"angles": exact.x0}
    SPSA(maxiter=20, seed=1).minimize(lambda x: sampled(x["angles"]), start, callback=history)
    figure = plots.convergence(
        history, by=by, fun=lambda x: exact(x["angles"]), minimum=exact.ground_energy
    )
    (line,) = lines(figure)
    gaps = [exact(x["angles"]) - exact.ground_energy for x in history.x]
    np.testing.assert_allclose(line.get_ydata(), gaps)
    if by == "evaluations":
        assert line.get_xdata().tolist() == history.nfev.tolist()


def test_true_values_need_iterates(path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    with pytest.raises(InvalidInputError, match=r"callback=History\(\)"):
        plots.convergence(path, fun=rosen)


@pytest.mark.parametrize("optimizer", [SPSA(maxiter=8, seed=1), NFT(maxiter=8)], ids=repr)
def test_estimates_of_iterates_are_values_and_are_drawn_hollow(optimizer):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    history, result = recorded(optimizer)
    assert all(state.is_estimate for state in history.states)
    assert np.isfinite(history.fun).all()
    figure = plots.convergence(result)
    assert [line.get_markerfacecolor() for line in lines(figure)][1] == "none"
    exact, _ = recorded()
    assert not any(state.is_estimate for state in exact.states)


def test_the_dots_of_several_runs_are_in_the_legend():
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    runs = {"NFT": recorded(NFT(maxiter=8))[0], "TNC": recorded()[0]}
    legend = plots.convergence(runs).axes[0].get_legend()
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["NFT", "TNC", "iterates, estimated"]


def test_parameters_are_drawn_from_the_start_to_the_end(path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    history, result = recorded()
    for run, end in ((history, result.x), (path, load(path).result.best.x)):
        drawn = lines(plots.parameters(run, names=["a", "b"]))
        assert [line.get_label() for line in drawn] == ["a", "b"]
        np.testing.assert_array_equal([line.get_ydata()[0] for line in drawn], [-1.2, 1.0])
        np.testing.assert_array_equal([line.get_ydata()[-1] for line in drawn], end)


def test_points_are_counted_in_whole_numbers():
    run = LBFGSB(maxfun=8).minimize(rosen, [-1.2, 1.0], callback=History())
    for draw in (plots.convergence, plots.parameters):
        (ax,) = draw(run).axes
        ticks = ax.get_xticks()
        np.testing.assert_array_equal(ticks, ticks.round())
        ax.set_xscale("log")
        draw(run, ax=ax)
        assert ax.get_xscale() == "log"


def test_slices_show_all_points_and_more_on_request():
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    history, result = recorded(maxfun=60)
    figure = plots.slices(history, rosen, points=11)
    assert len(figure.axes) == 2
    assert len(figure.axes[0].collections[0].get_offsets()) == result.nfev
    line, best = figure.axes[1].lines
    assert len(line.get_xdata()) == 11
    assert best.get_xydata().tolist() == [[result.best.x[1], result.best.fun]]


@pytest.mark.parametrize("how", ["history", "journal"])
def test_slices_call_the_objective_in_the_structure_of_the_start(tmp_path, how):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")

    def fun(p):
        return (p["a"] - 1) ** 2 + (p["b"] ** 2).sum() + (p["c"] - 2) ** 2

    start = {"a": 3.0, "b": np.array([1.0, 2.0]), "c": Param(0.5, fixed=True)}
    settings = {"callback": History()} if how == "history" else {"journal": tmp_path / "a.jsonl"}
    result = LBFGSB().minimize(fun, start, **settings)
    figure = plots.slices(result, fun)
    assert [ax.get_xlabel() for ax in figure.axes] == ["a", "b[0]", "b[1]"]
    along = lines(figure)[0]
    expected = (along.get_xdata() - 1) ** 2 + 1.5**2
    np.testing.assert_allclose(along.get_ydata(), expected, atol=1e-6)


def test_slices_of_transformed_variables_need_a_history(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")

    def fun(p):
        return (p["a"] - 1) ** 2

    start = {"a": Param(3.0, 0.1, 5.0, transform="log")}
    result = LBFGSB().minimize(fun, start, journal=tmp_path / "a.jsonl")
    assert plots.slices(result).axes[0].get_xlabel() != "a"
    with pytest.raises(InvalidInputError, match=r"scaled or transformed .* callback=History"):
        plots.slices(result, fun)
    result = LBFGSB().minimize(fun, start, callback=History())
    along = lines(plots.slices(result, fun))[0]
    np.testing.assert_allclose(along.get_ydata(), (along.get_xdata() - 1) ** 2)


def test_a_data_profile_says_which_share_is_solved_how_fast():
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    functions = {"rosen": rosen, "sphere": lambda x: float(x @ x)}
    runs = {
        name: {key: recorded(optimizer, fun, maxfun=maxfun)[0] for key, fun in functions.items()}
        for name, optimizer, maxfun in (("good", LBFGSB(), 200), ("poor", LBFGSB(), 12))
    }
    for kind in ("data", "performance"):
        good, poor = lines(plots.profile(runs, kind=kind))
        assert (good.get_ydata()[-1], poor.get_ydata()[-1]) == (1.0, 0.5)
    with pytest.raises(InvalidInputError, match=r"expected runs\[optimizer\]\[problem\]"):
        plots.profile({"good": 3})


def test_a_multistart_shows_its_starts_and_minima():
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    history = History()
    found = multistart(
        lambda x: float(((x**2 - 1) ** 2 + 0.1 * x).sum()),
        [(-2, 2)] * 2,
        budget=1000,
        seed=1,
        callback=history,
    )
    figure = plots.multistart(found)
    stars = [line for line in lines(figure) if line.get_marker() == "*"]
    assert [s.get_xydata()[0].tolist() for s in stars] == [m.x.tolist() for m in found.minima]
    dots = [line for line in lines(figure) if line.get_marker() in (".", "x")]
    assert len(dots) == len({e.run for e in history.evaluations})


def test_values_that_hardly_differ_are_told_apart():
    pytest.importorskip("matplotlib", reason="needs the extra: plot")

    @vectorized
    def fun(points):
        return -1.85727503 + 1e-7 * np.cos(3 * points[:, 0]) + 1e-8 * points[:, 0]

    optimizer = LBFGSB(ftol=1e-20, eps=1e-3, options={"gtol": 1e-12})
    how = {"budget": 400, "seed": 1, "callback": History()}
    found = multistart(fun, [(-2, 2)], optimizer=optimizer, **how)
    figure = plots.multistart(found)
    figure.canvas.draw()
    ax = figure.axes[0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(set(labels)) == len(labels)
    assert all("1.85727" in label for label in labels)
    assert ax.yaxis.get_major_formatter().get_offset() == ""


def test_a_history_of_named_variables_has_their_names():
    seen = History()
    LBFGSB().minimize(lambda p: rosen([p["a"], p["b"]]), {"a": -1.2, "b": 1.0}, callback=seen)
    assert [axis.get_xlabel() for axis in plots.slices(seen).axes] == ["a", "b"]


def test_a_multistart_of_named_variables_has_their_names():
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    found = multistart(
        lambda p: (p["a"] ** 2 - 1) ** 2 + (np.log(p["b"]) ** 2 - 1) ** 2,
        None,
        budget=600,
        x0={
            "a": Param(0.0, -2, 2),
            "fixed": Param(1.0, fixed=True),
            "b": Param(1.0, 0.1, 9, transform="log"),
        },
        seed=1,
        callback=History(),
    )
    figure = plots.multistart(found)
    stars = [line for line in lines(figure) if line.get_marker() == "*"]
    ends = [[m.x["a"], m.x["b"]] for m in found.minima]
    np.testing.assert_allclose([s.get_xydata()[0] for s in stars], ends)
    assert [figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()] == ["a", "b"]


def test_the_chart_of_waves_has_a_row_for_each_worker(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")

    def slow(x):
        time.sleep(1e-3)  # so that a single thread does not do it all
        return rosen(x)

    with ThreadPoolExecutor(2) as workers:
        history, _ = recorded(fun=slow, maxfun=30, workers=workers, journal=tmp_path / "run.jsonl")
    for run in (history, tmp_path / "run.jsonl"):
        figure = plots.waves(run)
        names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        workers = sorted({e.worker for e in history.evaluations})
        assert len(names) == 2
        # Of threads of one process, the process says nothing.
        assert all(worker.endswith(f"/{name}") for worker, name in zip(workers, names, strict=True))
        bars = sum(len(c.get_paths()) for c in figure.axes[0].collections)
        assert bars == len(history.evaluations)
        assert "workers busy" in figure.axes[0].get_title()


@pytest.mark.parametrize(
    ("workers", "labels"),
    [
        (["7/MainThread", "8/MainThread"], ["process 7", "process 8"]),
        (
            ["7/0-Dask-Default-Threads-7-0", "8/1-Dask-Default-Threads-8-0"],
            ["process 7", "process 8"],
        ),
        (["7/0-Dask-Default-Threads-7-0", "7/1-Dask-Default-Threads-7-2"], ["0-0", "1-2"]),
        (["7/a_0", "7/a_1", "8/a_0"], ["7/a_0", "7/a_1", "8/a_0"]),
        ([""], ["this process"]),
    ],
)
def test_the_labels_of_workers_are_short(workers, labels):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    history = History()
    for i, worker in enumerate(workers, 1):
        history.on_evaluation(Evaluated(np.zeros(1), 1.0, None, 0, i, 1, 1.0, 0.0, 1.0, worker))
    shown = plots.waves(history).axes[0].get_yticklabels()
    assert [label.get_text() for label in shown] == labels


def test_a_fit_shows_its_residuals_and_the_model_through_the_data(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    t = np.linspace(0, 4, 30)
    y = 2 * np.exp(-t) + 0.01 * np.cos(40 * t)
    fit = residuals(lambda p: p[0] * np.exp(-p[1] * t) - y)
    result = LBFGSB().minimize(fit, [1.0, 0.5], journal=tmp_path / "fit.jsonl")
    figure = plots.residuals(result, t, y)
    model = figure.axes[0].lines[1].get_ydata()
    np.testing.assert_allclose(model, result.x[0] * np.exp(-result.x[1] * t))
    assert len(plots.residuals(tmp_path / "fit.jsonl").axes) == 2
    with pytest.raises(InvalidInputError, match="has no residuals"):
        plots.residuals(recorded()[1])


def test_a_picture_is_shown_by_pyplot(history, monkeypatch):
    pytest.importorskip("matplotlib", minversion="3.11", reason="needs the extra: plot")
    monkeypatch.setenv("MPLBACKEND", "agg")
    from matplotlib import pyplot

    figure = plots.convergence(history)
    assert not pyplot.get_fignums()
    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.gcf()))
    figure.show()
    pyplot.close("all")
    assert shown == [figure]


def test_a_notebook_shows_pictures_and_of_errors_the_users_frames():
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    nbformat = pytest.importorskip("nbformat", reason="needs the extra: notebook")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra: notebook")
    pytest.importorskip("ipykernel", reason="needs the extra: notebook")
    cells = [
        "from optimizers import LBFGSB, History, plot_convergence, plots\nh = History()\n"
        "r = LBFGSB().minimize(lambda x: x @ x, [3.0, 4.0], callback=h)",
        "plots.convergence(r)",
        "plot_convergence(h)",
        "def fun(x):\n    raise LookupError('mine')\nLBFGSB().minimize(fun, [1.0])",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", allow_errors=True
    ).execute()
    for cell in notebook.cells[1:3]:
        (output,) = cell.outputs
        png = base64.b64decode(output["data"]["image/png"])
        assert png.startswith(b"\x89PNG")
        assert len(png) > 5000
    (error,) = notebook.cells[3].outputs
    assert error["ename"] == "LookupError"
    text = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error["traceback"]))
    assert "raise LookupError('mine')" in text
    assert "skipping hidden" in text
    assert "optimizer.py" not in text
