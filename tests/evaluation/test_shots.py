"""Objectives that take a number of shots, or are evaluated several times in their place."""

import asyncio
import concurrent.futures
import math
import warnings

import numpy as np
import pytest

from optimizers import (
    COBYLA,
    LBFGSB,
    SPSA,
    InvalidInputError,
    InvalidValueError,
    NoisyLBFGSB,
    OptimizerWarning,
    OptionError,
    Param,
    ParameterShift,
    StopReason,
    TellData,
    shots,
    vectorized,
)
from optimizers.flow import AskData, FlowOptimizer, Step, ended
from optimizers.problems import h2
from optimizers.support import SupportLevel, levels
from tests.making import make, of_values

START = [1.0, 2.0]
OPTIMIZERS = [LBFGSB(), NoisyLBFGSB(seed=1), SPSA(seed=1), COBYLA(noise=0)]


class Bowl:
    """A bowl with shot noise that counts its calls and shots."""

    def __init__(self, seed=1):
        self.rng, self.calls, self.shots = np.random.default_rng(seed), 0, []

    def __call__(self, x, shots, offset=0.0):
        self.calls += 1
        x, many = np.asarray(x), np.atleast_1d(shots)
        self.shots += many.tolist()
        spread = 1.0 / np.sqrt(shots)
        noise = spread * self.rng.normal(size=np.shape(shots))
        return (x**2).sum(axis=-1) + noise + offset, spread


def test_an_objective_gets_its_shots_and_all_are_counted():
    bowl = Bowl()

    @shots
    def fun(x, shots):
        assert x.shape == (2,)
        assert type(shots) is int
        return bowl(x, shots)

    result = SPSA(maxiter=5, seed=1).minimize(fun, START, shots=50)
    assert set(bowl.shots) == {50}
    assert result.nshots == sum(bowl.shots) == 50 * result.nfev
    assert result.nfev == bowl.calls
    assert result.njobs < result.nfev  # pairs travel together
    assert "nshots" not in SPSA(maxiter=5).minimize(lambda x: x @ x, START)


def test_a_vectorized_objective_gets_the_shots_of_each_point():
    bowl, marked = Bowl(), []
    for mark in (lambda fun: shots(vectorized(fun)), lambda fun: vectorized(shots(fun))):

        @mark
        def fun(points, shots, bowl=bowl):
            assert points.shape == (len(shots), 2)
            assert shots.dtype == np.int64
            return bowl(points, shots)

        result = SPSA(maxiter=5, seed=1).minimize(fun, START, shots=50)
        marked.append(result.fun)
        assert result.nshots == sum(bowl.shots)
        assert result.njobs == bowl.calls
        bowl = Bowl()
    assert marked[0] == marked[1]


def test_shots_are_1000_by_default():
    bowl = Bowl()
    result = COBYLA().minimize(shots(bowl), START, maxfun=10)
    assert set(bowl.shots) == {1000}
    assert result.nshots == 10_000


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("most", [1, 99, 100, 777, 5000])
def test_maxshots_is_a_hard_limit(optimizer, most):
    bowl = Bowl()
    result = optimizer.minimize(shots(bowl), START, shots=100, maxshots=most)
    assert sum(bowl.shots) == result.nshots <= most
    if result.stop.is_budget:
        assert result.stop is StopReason.MAXSHOTS
        assert result.nshots > most - 100 * 5  # a wave may not fit


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_maxjobs_is_a_hard_limit(optimizer):
    for fun in (shots(vectorized(Bowl())), vectorized(lambda points: (points**2).sum(axis=1))):
        calls = []

        @vectorized
        def counted(points, *more, fun=fun, calls=calls):
            calls.append(len(points))
            return fun(points, *more)

        marked = shots(counted) if "shots" in str(vars(fun)) else counted
        result = optimizer.minimize(marked, START, maxjobs=2)
        assert result.njobs == len(calls) == 2
        assert result.stop is StopReason.MAXJOBS


def test_an_objective_whose_shots_are_declared_is_limited_too():
    values = []
    result = COBYLA().minimize(lambda x: values.append(x) or x @ x, START, shots=7, maxshots=100)
    assert result.stop is StopReason.MAXSHOTS
    assert result.nfev == len(values) == 14
    assert result.nshots == 98
    assert COBYLA().minimize(lambda x: x @ x, START, shots=7, maxfun=5).stop is StopReason.MAXFUN


def test_arguments_structures_fixed_variables_scales_and_signs_go_with_shots():
    bowl = Bowl()

    @shots
    def fun(x, shots, offset):
        value, error = bowl([x["a"], x["b"] - 1.0], shots, offset)
        return -value, error

    start = {"a": Param(0.5, -1.0, 1.0), "b": Param(1.0, fixed=True)}
    result = NoisyLBFGSB(seed=1)(
        fun, start, args=(3.0,), maximize=True, scale="bounds", shots=10**6, maxfun=200
    )
    assert result.fun == pytest.approx(-3.0, abs=0.02)
    assert result.x["b"] == 1.0
    assert result.nshots == sum(bowl.shots)


@pytest.mark.parametrize("kind", ["threads", "map", "coroutine"])
def test_workers_get_the_shots(kind):
    bowl, with_workers = Bowl(), {}
    if kind == "coroutine":

        async def fun(x, shots):
            return bowl(x, shots)

        call = SPSA(maxiter=3, seed=1).minimize_async(shots(fun), START, shots=30)
        result = asyncio.run(call)
    else:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            with_workers["workers"] = pool if kind == "threads" else lambda f, xs: map(f, xs)
            how = {"shots": 30, **with_workers}
            result = SPSA(maxiter=3, seed=1).minimize(shots(bowl), START, **how)
    assert set(bowl.shots) == {30}
    assert result.nshots == sum(bowl.shots)


def noisy(x, shots):  # in a module, for processes
    return x @ x, 1 / shots


def test_processes_get_the_shots():
    result = SPSA(maxiter=2, seed=1).minimize(shots(noisy), START, shots=4, workers=2, maxfun=9)
    assert result.nshots == 4 * result.nfev


class Chooser(FlowOptimizer):
    """Asks with other shots for each point."""

    support_levels = levels(gradient=SupportLevel.ignored)

    def __init__(self, **settings):
        super().__init__({}, **settings)

    def _flow(self, problem, run):
        points = np.array([problem.x0, problem.x0 + 1.0])
        told = yield AskData(points, shots=[10, 30])
        self.seen = told
        yield Step(problem.x0)
        told = yield AskData(problem.x0, shots=20)
        return ended(problem.x0, StopReason.CONVERGED, told.fun)


def test_a_flow_chooses_the_shots_of_each_point():
    bowl, chooser = Bowl(), Chooser()
    result = chooser.minimize(shots(bowl), START, maxshots=60)
    assert bowl.shots == [10, 30, 20]
    assert result.nshots == 60
    assert result.success
    assert chooser.seen.errors == pytest.approx([10**-0.5, 30**-0.5])
    stopped = Chooser().minimize(shots(Bowl()), START, maxshots=39)
    assert stopped.stop is StopReason.MAXSHOTS
    assert stopped.nshots == 10  # the most important point is first


def test_an_objective_without_shots_is_evaluated_repeatedly_in_their_place():
    rng, chooser = np.random.default_rng(1), Chooser()
    values = []

    def fun(x):
        values.append(x @ x + rng.normal())
        return values[-1]

    result = chooser.minimize(fun, START, shots=5)  # an evaluation is 5 shots
    assert len(values) == result.nfev == 2 + 6 + 4
    assert result.nshots == 60
    assert result.njobs == 2
    assert chooser.seen.fun == pytest.approx([np.mean(values[:2]), np.mean(values[2:8])])
    error = np.std(values[2:8], ddof=1) / math.sqrt(6)
    assert chooser.seen.errors[1] == pytest.approx(error)
    assert result.best.fun == min(np.mean(values[:2]), np.mean(values[2:8]), np.mean(values[8:]))


def test_errors_of_repeated_evaluations_are_joined():
    chooser = Chooser()
    chooser.minimize(lambda x: (x @ x, 0.5), START, shots=10)
    assert chooser.seen.errors == pytest.approx([0.5, 0.5 / math.sqrt(3)])


def test_a_failed_evaluation_keeps_its_shots_and_retries_stay_within_the_budget():
    asked = []

    @shots
    def fun(x, shots):
        asked.append(shots)
        if len(asked) == 3:
            raise RuntimeError
        return x @ x, 0.1

    result = SPSA(seed=1).minimize(fun, START, shots=10, maxshots=600, retries=2)
    assert sum(asked) == result.nshots == 600


def test_gradients_by_the_shift_rule_are_measured_with_shots():
    energy, asked = h2(noise_seed=1), []

    @shots
    @vectorized
    def fun(x, shots):
        asked.extend(shots)
        return energy.measured(x, shots)

    optimizer = NoisyLBFGSB(seed=1)
    result = optimizer.minimize(fun, energy.x0, ParameterShift(), shots=10, maxshots=300)
    assert result.nshots == sum(asked) <= 300
    assert set(asked) == {10}
    few = LBFGSB().minimize(fun, energy.x0, ParameterShift(), maxshots=7099)
    assert "takes 12000 shots, but 6099 are left: pass jac, or raise maxshots." in few.message


@pytest.mark.parametrize("answer", [0.3, (1.0, 2.0, 3.0), (1.0, np.ones(2)), None, [1.0, 0.1]])
def test_an_answer_without_its_error_is_a_named_error(answer):
    with pytest.raises(InvalidValueError, match=r"marked by shots .*\(value, standard error\)"):
        LBFGSB().minimize(shots(lambda x, shots: answer), START)


def test_what_does_not_go_with_shots_is_said_before_the_first_evaluation():
    fun = shots(Bowl())
    for how, words in (({"jac": True}, "jac=True was given"), ({"jac": "cs"}, "no complex steps")):
        with pytest.raises(InvalidInputError, match=words):
            LBFGSB().minimize(fun, START, **how)
    with pytest.raises(OptionError, match="the shots of an evaluation are not known: mark fun"):
        LBFGSB().minimize(lambda x: x @ x, START, maxshots=10)
    with pytest.raises(OptionError, match="marked by shots: mark it by vectorized too"):
        LBFGSB(max_evals_grouped=3).minimize(fun, START)
    with pytest.raises(OptionError, match=r"shots is 0, expected a whole number >= 1\."):
        LBFGSB(shots=0)


def test_a_stepper_tells_the_shots_of_each_point():
    stepper, bowl = SPSA(maxiter=4, seed=1).stepper(START, shots=40), Bowl()
    for ask in stepper:
        assert ask.shots.tolist() == [40] * len(ask.x_fun)
        stepper.tell(ask, TellData(bowl(ask.x_fun, ask.shots)))
    result = stepper.result()
    assert result.nshots == sum(bowl.shots)
    twin = SPSA(maxiter=4, seed=1).minimize(shots(vectorized(Bowl())), START, shots=40)
    assert result.x.tolist() == twin.x.tolist()


def test_partial_answers_to_a_stepper_count_their_shots():
    stepper = Chooser().stepper(START, shots=1)
    ask = stepper.ask()
    assert ask.shots.tolist() == [10, 30]
    stepper.tell(ask, TellData((1.0, 0.1), rows=[1]))
    stepper.close()
    assert stepper.result().nshots == 30


def test_runs_in_lock_step_share_a_wave_and_count_their_own_shots():
    bowl = Bowl()
    starts = [[1.0, 2.0], [3.0, 1.0], [0.5, 0.5]]
    fun = shots(vectorized(bowl))
    results = SPSA(maxiter=3, seed=1).minimize_many(fun, starts, shots=20, maxshots=300)
    assert results.nshots == sum(bowl.shots)
    assert all(result.nshots <= 300 for result in results)
    assert bowl.calls == results.rounds == results[0].njobs


@pytest.mark.parametrize("cls", of_values().values(), ids=lambda cls: cls.__name__)
def test_every_class_passes_shots_and_stays_within_them(cls):
    asked = []

    @shots
    def fun(x, shots):
        asked.append(shots)
        return (x - 0.3) @ (x - 0.3) + 0.01 * np.sin(1e3 * x.sum()), 0.01

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizerWarning)  # of the noise
        arguments = {"jac": "3-point"} if make(cls).is_gradient_required else {}
        if cls.__name__ in ("Dogleg", "TrustExact", "TrustKrylov", "TrustNCG"):
            arguments["hess"] = lambda x: 2 * np.eye(2)
        result = make(cls).minimize(fun, START, **arguments, shots=10, maxshots=400)
    assert sum(asked) == result.nshots <= 400
    assert result.njobs <= result.nfev == len(asked)
