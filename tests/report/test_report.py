"""Reports of runs: what is on the page, and that it needs nothing but itself."""

import html
import html.parser
import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    SPSA,
    History,
    InvalidInputError,
    Param,
    load,
    multistart,
    race,
    report,
    residuals,
)
from optimizers.cli import main
from optimizers.result import Best

pytest.importorskip("matplotlib", reason="needs the extra: plot")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


class References(html.parser.HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            is_own = value and value.startswith(("#", "data:"))
            if name in ("src", "href", "xlink:href", "action", "data") and not is_own:
                self.found.append((tag, value))
            self.found += [(tag, url) for url in re.findall(r"url\(([^#)]+)\)", value or "")]
        if tag in ("script", "iframe", "object", "embed"):
            self.found.append((tag, None))


def complaints(path, tmp_path):
    """Return what a page refers to; and in a browser, its errors and the requests it makes."""
    parser = References()
    parser.feed(path.read_text())
    found = [str(reference) for reference in parser.found]
    if BROWSER is None:
        return found
    log = tmp_path / "net.json"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += ["--enable-logging=stderr", f"--log-net-log={log}", "--net-log-capture-mode=Default"]
    options += [
        f"--user-data-dir={tmp_path / 'profile'}",
        "--disable-component-update",
        "--no-pings",
    ]
    command = [BROWSER, *options, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert "</html>" in done.stdout
    found += [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    # Of other schemes than that of the file; what has no initiator is the browser's own.
    for event in json.loads(log.read_text())["events"]:
        told = event.get("params", {})
        if "initiator" in told and told["initiator"] != "not an origin":
            url = str(told.get("url"))
            found += [] if url.startswith(("file:", "data:")) else [url]
    return found


def tables(text):
    return html.unescape(re.sub(r"<[^>]+>", " ", text))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A journal of a run with workers, bounds and points that failed."""
    path = tmp_path_factory.mktemp("run") / "run.jsonl"

    def fun(x):
        if -0.7 < x[0] < -0.5:
            raise ValueError("<script>alert(1)</script> too far & wide")
        return rosen(x)

    with ThreadPoolExecutor(2) as workers:
        NELDER_MEAD().minimize(
            fun,
            [-1.2, 1.0],
            bounds=[(-2, 2), (0.5, None)],
            maxfun=120,
            workers=workers,
            journal=path,
            on_failure="reject",
        )
    return path


def test_a_report_has_all_that_is_known_and_needs_nothing_else(path, tmp_path):
    page = tmp_path / "run.html"
    assert main(["report", str(path), "-o", str(page)]) == 0
    text, result = page.read_text(), load(path).result
    words = tables(text)
    assert result.stop.sentence[1:] in words
    for known in ("x[0]", "x[1]", "0.5", "maxfun", "120", "ValueError", "numpy", "workers"):
        assert known in words
    assert f"{result.best.fun:.8g}" in words
    assert "<script" not in text
    headings = re.findall("<h2>(.*?)</h2>", text)
    for heading in ("Parameters", "Convergence", "Timeline of the workers", "Settings"):
        assert heading in headings
    assert any(re.match(r"Failures: \d", heading) for heading in headings)
    assert (
        text.count("<svg") == headings.index("Failures: 1") if "Failures: 1" in headings else True
    )
    assert "prefers-color-scheme: dark" in text
    assert "#123457" not in text
    assert complaints(page, tmp_path) == []


def test_what_a_page_fetches_or_fails_at_would_be_noticed(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><html><body><img src='http://localhost:9/x.png'>"
        "<script>nothing.known</script></body></html>"
    )
    found = complaints(page, tmp_path)
    assert any("localhost:9" in one for one in found)
    if BROWSER is not None:
        assert any("nothing is not defined" in one for one in found)
        assert "http://localhost:9/x.png" in found


def test_a_result_is_reported_with_what_is_known_of_its_run(tmp_path):
    page, history = tmp_path / "run.html", History()
    result = LBFGSB().minimize(rosen, [-1.2, 1.0])
    assert result.report(page) == str(page)
    assert "callback=History()" in page.read_text()
    assert "<svg" not in page.read_text()
    bounds = [(-2, 0.5), (None, None)]
    LBFGSB().minimize(rosen, [-1.2, 1.0], bounds=bounds, callback=history).report(page)
    text = page.read_text()
    assert text.count("<svg") == 3
    assert "at its upper bound" in text
    assert "-1.2" in tables(text)
    again = LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=12, journal=tmp_path / "run.jsonl")
    again.report(page)
    assert "The budget of function evaluations is used up." in page.read_text()


def test_the_noise_of_a_run_is_in_its_report(tmp_path):
    page, rng = tmp_path / "noise.html", np.random.default_rng(1)

    def fun(x):
        return float(x @ x) + 0.01 * rng.normal(), 0.01

    journal = tmp_path / "run.jsonl"
    SPSA(maxiter=5, seed=1).minimize(fun, [1.0, 1.0], journal=journal)
    report.write(journal, page)
    assert "median standard error of the values" in page.read_text()


def test_why_it_stopped_is_said_once(tmp_path):
    page = tmp_path / "run.html"
    LBFGSB().minimize(rosen, [-1.2, 1.0], maxfun=20, callback=History()).report(page)
    assert page.read_text().lower().count("the budget of function evaluations is used up") == 1


def test_what_is_the_same_or_none_is_left_out(tmp_path):
    page = tmp_path / "run.html"
    result = NELDER_MEAD().minimize(rosen, [-1.2, 1.0], callback=History())
    assert (result.best.fun, result.njev) == (result.fun, 0)
    result.report(page)
    words = tables(page.read_text())
    for word in ("best f(x)", "best point", "gradients", "options"):
        assert word not in words
    assert f"seconds {result.elapsed:.3g}" in " ".join(words.split())
    result.best = Best(np.zeros(2), -1.0)
    result.report(page)
    words = tables(page.read_text())
    assert "best f(x)" in words
    assert "best point" in words


def test_many_runs_have_a_table_and_their_pictures(tmp_path):
    page, given = tmp_path / "many.html", {"callback": History()}
    found = multistart(lambda x: float((x**2 - 1) @ (x**2 - 1)), [(-2, 2)] * 2, budget=400, **given)
    found.report(page)
    text = page.read_text()
    assert text.count('<th scope="row">') >= len(found.runs)
    assert "Starts and minima" in text
    assert complaints(page, tmp_path) == []
    raced = race([LBFGSB(), NELDER_MEAD()], rosen, [-1.2, 1.0], budget=60, callback=History())
    raced.report(page)
    assert "Race: LBFGSB, NELDER_MEAD" in page.read_text()
    LBFGSB().minimize_many(rosen, [[-1.2, 1.0], [0.5, 0.5]]).report(page)
    assert "<h1>2 runs</h1>" in page.read_text()
    journal = tmp_path / "many.jsonl"
    LBFGSB().minimize_many(rosen, [[-1.2, 1.0], [0.5, 0.5]], journal=journal)
    load(journal).report(page)
    assert "minimize_many: LBFGSB" in page.read_text()


def test_what_has_nothing_to_report_is_an_error(tmp_path):
    with pytest.raises(InvalidInputError, match="expected a result"):
        report.write(3, tmp_path / "x.html")


def test_a_fit_is_reported_with_its_standard_errors_and_residuals(tmp_path):
    t = np.linspace(0, 4, 30)
    y = 2 * np.exp(-t) + 0.01 * np.cos(40 * t)
    fit = residuals(lambda p: p[0] * np.exp(-p[1] * t) - y)
    result = LBFGSB().minimize(fit, [1.0, 0.5], callback=History())
    result.report(tmp_path / "fit.html")
    words = tables((tmp_path / "fit.html").read_text())
    assert "Residuals" in words
    assert f"{result.errors[0]:.3g}" in words
    assert "lower" not in words


def test_variables_in_a_structure_have_their_names(tmp_path):
    history = History()
    start = {"depth": 0.0, "angles": np.zeros(2)}
    result = LBFGSB().minimize(
        lambda p: float((p["depth"] - 1) ** 2 + p["angles"] @ p["angles"]), start, callback=history
    )
    result.report(tmp_path / "run.html")
    assert "angles[1]" in (tmp_path / "run.html").read_text()
    assert history.evaluations[0].x.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("record", ["history", "journal"])
@pytest.mark.parametrize("how", [{}, {"scale": 3.0}, {"transform": "log"}], ids=str)
def test_variables_in_a_structure_have_their_start_and_bounds(tmp_path, how, record):
    settings = {"callback": History()} if record == "history" else {"journal": tmp_path / "a.jsonl"}
    result = LBFGSB().minimize(
        lambda p: (p["depth"] - 1) ** 2 + p["width"] ** 2,
        {
            "depth": 3.0,
            "width": Param(2.5, 0.25, 7.890123, **how),
            "height": Param(0.5, fixed=True),
        },
        **settings,
    )
    result.report(tmp_path / "run.html")
    words = " ".join(tables((tmp_path / "run.html").read_text()).split())
    assert re.search(r" depth 3 (1|0\.99\d+|1\.00\d+) -inf inf ", words)
    assert re.search(r" width 2\.5 0\.25 0\.25 7\.890123 at its lower bound ", words)


def test_a_maximum_is_reported_as_the_user_has_it(tmp_path):
    history = History()
    LBFGSB().minimize(lambda x: float(-(x @ x) - 3), [1.0], maximize=True, callback=history)
    assert history.evaluations[0].fun == -4.0
    assert history.evaluations[-1].best == max(e.fun for e in history.evaluations)
