"""What a user of SciPy, Qiskit, optuna, optimagic, lmfit or PyTorch tries in the first ten minutes.

Each task is in a newcomer's words, and a script that knows the README, the pages and completion.
"""

import contextlib
import io
import json
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der, rosen_hess

from optimizers import (
    LBFGSB,
    LM,
    NELDER_MEAD,
    SPSA,
    CrossedBoundsError,
    EvaluationTimeoutError,
    History,
    InvalidInputError,
    InvalidValueError,
    MisplacedBoundsError,
    NoisyLBFGSB,
    NonFiniteValueError,
    NoValueError,
    OptimizerWarning,
    OptionError,
    Param,
    StopReason,
    UnknownOptionError,
    available,
    check_gradient,
    curve_fit,
    load,
    minimize,
    multistart,
    plots,
)

TASKS: dict[str, Callable[[], None]] = {}
START = [-1.2, 1.0]
BOX = [(-2, 2), (-2, 2)]
times = np.linspace(0, 1, 20)
data = 2.0 * np.exp(-3.0 * times) + 0.01 * np.random.default_rng(0).normal(size=20)


def task(words: str) -> Callable[[Callable[[], None]], None]:
    """Enter a script under the task that it does."""

    def enter(script: Callable[[], None]) -> None:
        assert words not in TASKS
        TASKS[words] = script

    return enter


def close(x, expected, atol=1e-3):
    np.testing.assert_allclose(x, expected, atol=atol, rtol=0)


def bowl(p):
    return (p["rate"] - 1.0) ** 2 + (p["shift"] + 2.0) ** 2


@task("swap the import of scipy.optimize.minimize")
def _():
    theirs = scipy.optimize.minimize(rosen, START, method="BFGS", jac=rosen_der)
    ours = minimize(rosen, START, method="BFGS", jac=rosen_der)
    assert (ours.x == theirs.x).all()
    assert (ours.nfev, ours.nit, ours.message) == (theirs.nfev, theirs.nit, theirs.message)


@task("leave the method out, and ask which it was")
def _():
    result = minimize(rosen, START, bounds=BOX)
    assert (result.method, result.method_reason) == ("L-BFGS-B", "there are bounds")
    close(result.x, [1, 1])


@task("pass a dict of parameters")
def _():
    result = minimize(bowl, {"rate": 0, "shift": 0}, bounds={"rate": (None, 0.5)})
    assert list(result.x) == ["rate", "shift"]
    close(list(result.x.values()), [0.5, -2.0])


@task("fix a parameter by name")
def _():
    result = minimize(bowl, {"rate": Param(0.5, fixed=True), "shift": 0.0})
    assert result.x["rate"] == 0.5
    close(result.x["shift"], -2.0)


@task("fix a number of a vector")
def _():
    result = minimize(rosen, [Param(0.5, fixed=True), 1.0])
    close(result.x, [0.5, 0.25])
    assert type(result.x) is np.ndarray


@task("fix a parameter by a word of another library")
def _():
    with pytest.raises(UnknownOptionError, match=r"Param\(value, fixed=True\)"):
        minimize(bowl, {"rate": 0.5, "shift": 0.0}, fixed=["rate"])


@task("x0 of shape (2, 2, 3), the weights of a PennyLane circuit")
def _():
    result = minimize(lambda w: np.sum((w - 1.0) ** 2), np.zeros((2, 2, 3)))
    assert result.x.shape == (2, 2, 3)
    close(result.x, 1.0)


@task("a start that is a tensor of torch's")
def _():
    torch = pytest.importorskip("torch")
    result = minimize(lambda w: ((w - 1.0) ** 2).sum(), torch.zeros(3))
    assert isinstance(result.x, torch.Tensor)
    close(result.x.numpy(), 1.0)


@task("a table of parameters in pandas")
def _():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"value": [0.0, 0.0], "lower": [2.0, -9.0]}, index=["rate", "shift"])
    with pytest.warns(OptimizerWarning, match="outside the bounds"):
        result = minimize(lambda p: bowl(p["value"]), table)
    close(result.x["value"], [2.0, -2.0])
    assert list(result.x.index) == ["rate", "shift"]


@task("a pandas Series of parameters")
def _():
    pd = pytest.importorskip("pandas")
    result = minimize(bowl, pd.Series({"rate": 0.0, "shift": 0.0}))
    close(result.x[["rate", "shift"]], [1.0, -2.0])


@task("a number for a start, and a pair of bounds")
def _():
    close(minimize(lambda x: (x - 2.0) ** 2, 0.5, bounds=(0, 1)).x, [1.0])


@task("a start of whole numbers")
def _():
    close(minimize(lambda x: ((x - 2.5) ** 2).sum(), np.array([0, 1])).x, 2.5)


@task("see a progress bar")
def _():
    pytest.importorskip("tqdm")
    with contextlib.redirect_stderr(io.StringIO()) as shown:
        minimize(rosen, START, maxfun=50, progress=True)
    assert "/50" in shown.getvalue()
    assert "stop: maxfun" in shown.getvalue()


@task("see what goes on, by a word of another library")
def _():
    with pytest.raises(UnknownOptionError, match=r"BFGS has no setting 'verbose'.*'progress'"):
        minimize(rosen, START, verbose=True)


@task("plot the convergence of two runs")
def _():
    pytest.importorskip("matplotlib")
    first = minimize(rosen, START, callback=History())
    second = minimize(rosen, START, method="Nelder-Mead", callback=History())
    figure = plots.convergence({"BFGS": first, "Nelder-Mead": second})
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert {"BFGS", "Nelder-Mead"} <= set(names)


@task("plot a run of which nothing was kept")
def _():
    pytest.importorskip("matplotlib")
    with pytest.raises(InvalidInputError, match=r"callback=History\(\), or with a journal"):
        plots.convergence(minimize(rosen, START))


@task("return the value and the gradient, and forget jac=True")
def _():
    def both(x):
        return rosen(x), rosen_der(x)

    with pytest.raises(InvalidValueError, match="pass jac=True"):
        minimize(both, START)
    close(minimize(both, START, jac=True).x, [1, 1])


@task("misspell an option")
def _():
    with pytest.raises(UnknownOptionError, match="Did you mean 'maxiter'"):
        minimize(rosen, START, options={"maxitr": 3})
    with pytest.raises(UnknownOptionError, match="Did you mean 'gtol'"):
        LBFGSB(gtoll=1e-3)


@task("misspell a method")
def _():
    with pytest.raises(InvalidInputError, match="Did you mean 'NELDER_MEAD'"):
        minimize(rosen, START, method="nelder_meed")


@task("stop at a value that is good enough")
def _():
    result = minimize(rosen, START, f_target=0.1)
    assert result.stop is StopReason.TARGET
    assert result.success
    assert result.fun <= 0.1


@task("maxfun=100, for every method of mine")
def _():
    for method in ("BFGS", "CG", "COBYLA", "Nelder-Mead", "Powell", "SLSQP", "TNC", "trust-constr"):
        points = []

        def counted(x, points=points):
            points.append(x)
            return rosen(x)

        result = minimize(counted, [-1.2] * 10, method=method, maxfun=100)
        assert len(points) == result.nfev <= 100
        assert result.stop is StopReason.MAXFUN


@task("run on two processes")
def _():
    pytest.importorskip("cloudpickle")
    result = minimize(lambda x: rosen(x), START, workers=2, maxfun=30)
    assert result.nfev == minimize(rosen, START, maxfun=30).nfev
    with pytest.raises(UnknownOptionError, match="Did you mean 'workers'"):
        minimize(rosen, START, n_jobs=2)


@task("kill a run and resume it")
def _():
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return rosen(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        minimize(fun, START, journal="run.jsonl")
    assert caught.value.optimizer_result.fun == min(load("run.jsonl").values)
    result = minimize(fun, START, journal="run.jsonl")
    expected = minimize(rosen, START)
    assert (result.x == expected.x).all()
    assert result.nreplayed == 9
    assert len(calls) == expected.nfev + 1


@task("a study of optuna's of a run")
def _():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    result = minimize(rosen, START, journal="run.jsonl", maxfun=20)
    study = load("run.jsonl").to_optuna(optuna.storages.InMemoryStorage())
    assert study.best_value == result.fun
    assert len(study.trials) == result.nfev


@task("fit a curve and get errors")
def _():
    def model(t, size, rate):
        return size * np.exp(-rate * t)

    found, covariance = curve_fit(model, times, data)
    theirs = scipy.optimize.curve_fit(model, times, data)
    close(found, theirs[0], 1e-6)
    np.testing.assert_allclose(covariance, theirs[1], rtol=1e-3)


@task("fit residuals by names, with confidence intervals")
def _():
    def misfit(p):
        return p["size"] * np.exp(-p["rate"] * times) - data

    with pytest.raises(InvalidValueError, match=r"residuals\(fun\)"):
        minimize(misfit, {"size": 1.0, "rate": 1.0})
    fit = LM().minimize(misfit, {"size": 1.0, "rate": 1.0})
    low, high = fit.confidence(0.95).T
    assert (low < [2.0, 3.0]).all()
    assert (high > [2.0, 3.0]).all()


@task("find out that the gradient is wrong")
def _():
    def wrong(x):
        return rosen_der(x) * [1.0, -1.0]

    result = minimize(rosen, START, method="L-BFGS-B", jac=wrong)
    assert not result.success
    assert "check_gradient" in result.message
    check = check_gradient(rosen, wrong, START)
    assert not check.ok
    assert str(check).splitlines()[2].split()[0] == "1"  # the worst component first
    assert check_gradient(rosen, rosen_der, START).ok


@task("a callback that stops the run")
def _():
    def enough(intermediate_result):
        if intermediate_result.nit == 3:
            raise StopIteration

    result = minimize(rosen, START, callback=enough)
    assert (result.stop, result.nit) == (StopReason.CALLBACK, 3)


@task("NaN from the objective")
def _():
    def root(x):
        return x[0] - 3.0 * np.sqrt(x[0]) if x[0] >= 0 else np.nan

    with pytest.raises(NonFiniteValueError, match='on_failure="reject"') as caught:
        minimize(root, [9.0], method="L-BFGS-B")
    assert caught.value.optimizer_result.fun < root([9.0])
    close(minimize(root, [9.0], method="L-BFGS-B", on_failure="reject").x, [2.25])


@task("bounds the wrong way around")
def _():
    with pytest.raises(CrossedBoundsError, match=r"bounds\[1\] is \(2"):
        minimize(rosen, START, bounds=[(-2, 2), (2, -2)])


@task("bounds as a list of lows and a list of highs")
def _():
    with pytest.raises(InvalidInputError, match=r"Bounds\(lows, highs\)"):
        minimize(rosen, [0.0] * 3, bounds=([-2] * 3, [2] * 3))


@task("the arguments of Qiskit's SPSA")
def _():
    told = []
    spsa = SPSA(
        maxiter=20,
        learning_rate=0.002,
        perturbation=0.1,
        callback=lambda nfev, x, fx, dx, is_accepted: told.append((nfev, is_accepted)),
    )
    spsa.set_options(seed=1)
    result = spsa.minimize(fun=rosen, x0=np.array(START))
    assert len(told) == result.nit == 20
    assert rosen(result.x) < rosen(START)


@task("a loop of ask and tell")
def _():
    stepper = LBFGSB().stepper(START)
    while not stepper.done:
        ask = stepper.ask()
        stepper.tell(ask, [rosen(x) for x in ask.x_fun])
    assert stepper.result().fun == LBFGSB().minimize(rosen, START).fun


@task("maximize")
def _():
    result = minimize(lambda x: 3.0 - (x[0] - 1.0) ** 2, [0.0], maximize=True)
    close([result.x[0], result.fun], [1.0, 3.0])
    with pytest.raises(UnknownOptionError, match="Did you mean 'maximize'"):
        minimize(rosen, START, direction="maximize")


@task("a report in html")
def _():
    pytest.importorskip("matplotlib")
    minimize(rosen, START, callback=History()).report("run.html")
    assert "<svg" in Path("run.html").read_text()


@task("list the algorithms that take constraints")
def _():
    expected = ["COBYLA", "COBYQA", "DifferentialEvolution", "NLopt", "SHGO", "SLSQP"]
    assert sorted(available(constraints="supported")) == [*expected, "TrustConstr"]
    with pytest.raises(InvalidInputError, match=r"expected one of .*'supported'"):
        available(constraints=True)


@task("compare all methods that take bounds, from a loop")
def _():
    for name, cls in available(bounds="supported", gradient="supported").items():
        needy = {*available(residuals="required"), *available(gradient="required"), "QNG"}
        if name not in needy:
            result = cls(maxfun=60).minimize(rosen, START, bounds=BOX)
            assert result.nfev <= 60
            assert result.best.fun <= rosen(START)


@task("an optimizer as method= of scipy.optimize.minimize")
def _():
    result = scipy.optimize.minimize(
        rosen, START, method=NELDER_MEAD(), bounds=BOX, options={"maxiter": 5}
    )
    assert result.nit == 5
    with pytest.raises(MisplacedBoundsError, match=r"an object, NELDER_MEAD\(...\)"):
        scipy.optimize.minimize(rosen, START, method=NELDER_MEAD)


@task("variables of very different sizes")
def _():
    sizes = np.array([1.0, 1e6])
    result = minimize(lambda x: rosen(x / sizes), START * sizes, scale="start")
    close(result.x / sizes, [1, 1])
    with pytest.raises(OptionError, match=r"expected one of .*'start'"):
        minimize(rosen, START, scale=True)


@task("many starts in a box")
def _():
    def waves(x):
        return np.sum(x**2 + 1.0 - np.cos(6.0 * x))

    found = multistart(waves, BOX, budget=1000, seed=1)
    close(found.best.x, [0, 0])
    assert found.nfev <= 1000
    assert len(found.minima) > 1


@task("an objective with noise")
def _():
    def noisy():
        rng = np.random.default_rng(0)
        return lambda x: np.sum((x - 1.0) ** 2) + 0.01 * rng.normal()

    with pytest.warns(OptimizerWarning, match=r"has noise.*NoisyLBFGSB"):
        assert not minimize(noisy(), [0.0, 3.0]).success
    result = minimize(noisy(), [0.0, 3.0], noise=0.01, seed=1)
    assert result.method == "NoisyLBFGSB"
    close(result.x, [1, 1], 0.15)
    close(NoisyLBFGSB(seed=1).minimize(noisy(), [0.0, 3.0]).x, [1, 1], 0.15)


@task("the same seed, the same run")
def _():
    first, second, other = (
        minimize(rosen, START, method="SPSA", options={"maxiter": 5}, seed=seed).x
        for seed in (1, 1, 2)
    )
    assert (first == second).all()
    assert (first != other).any()
    with pytest.raises(UnknownOptionError, match="Did you mean 'seed'"):
        SPSA(random_state=1)


@task("keep a result: pickle and JSON")
def _():
    result = minimize(rosen, START)
    assert (pickle.loads(pickle.dumps(result)).x == result.x).all()
    assert json.loads(json.dumps(result.to_dict()))["x"] == result.x.tolist()


@task("a result's entry by a name that it does not have")
def _():
    with pytest.raises(AttributeError, match=r"no entry 'params'.*Known: .*nfev.*x"):
        _ = minimize(rosen, START).params
    with pytest.raises(AttributeError, match="Did you mean 'success'"):
        _ = minimize(rosen, START).succes


@task("fun returns an array of one number")
def _():
    result = minimize(lambda x: (x - 2.0) ** 2, [0.0])
    close(result.x, [2.0])
    assert isinstance(result.fun, float)


@task("fun returns a complex number")
def _():
    with pytest.raises(InvalidValueError, match="complex"):
        minimize(lambda x: complex(rosen(x)), START)


@task("fun returns nothing")
def _():
    def fun(x):
        rosen(x)

    with pytest.raises(NoValueError, match="return"):
        minimize(fun, START)


@task("further arguments of fun")
def _():
    for args in ((3.0,), 3.0):
        close(minimize(lambda x, a: np.sum((x - a) ** 2), START, args=args).x, 3.0)


@task("a constraint as a dict")
def _():
    constraint = {"type": "ineq", "fun": lambda x: x[0] - 1.0}
    result = minimize(lambda x: x @ x, [2.0, 1.0], constraints=constraint)
    assert result.method == "SLSQP"
    close(result.x, [1, 0])
    with pytest.raises(InvalidInputError, match="'eq' or 'ineq'"):
        minimize(rosen, START, constraints={"type": "geq", "fun": sum})


@task("a Hessian")
def _():
    result = minimize(rosen, START, method="trust-exact", jac=rosen_der, hess=rosen_hess)
    close(result.x, [1, 1])
    with pytest.warns(OptimizerWarning, match="BFGS ignores hess"):
        minimize(rosen, START, jac=rosen_der, hess=rosen_hess)


@task("a limit of time")
def _():
    def slow(x):
        time.sleep(0.02)
        return rosen(x)

    result = minimize(slow, START, timeout=0.1)
    assert result.stop is StopReason.TIMEOUT
    assert result.fun <= rosen(START)


@task("an evaluation that hangs")
def _():
    def hung(x):
        time.sleep(0.5 if x[0] != START[0] else 0.0)
        return rosen(x)

    with ThreadPoolExecutor(4) as pool, pytest.raises(EvaluationTimeoutError, match=r"0\.05"):
        minimize(hung, START, workers=pool, eval_timeout=0.05)


@task("show a result in a notebook")
def _():
    for shown in (minimize(rosen, START), LBFGSB(), LBFGSB().minimize_many(rosen, [START, [0, 0]])):
        assert "<table" in shown._repr_html_()


@pytest.mark.parametrize("words", TASKS)
def test_a_first_contact_ends_well_or_in_an_error_that_says_what_to_do(
    words, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    TASKS[words]()
