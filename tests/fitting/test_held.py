"""Residuals told by the caller, evaluated by workers, in lock-step, and among many."""

import asyncio
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import optimizers
from optimizers import (
    DOGBOX,
    LBFGSB,
    LM,
    P_BFGS,
    SLSQP,
    TRF,
    SteppableOptimizer,
    StopReason,
    TellData,
    residuals,
    vectorized,
)
from optimizers.errors import InvalidInputError, InvalidValueError
from tests.fitting.test_form import START, both, decay, decays, jacobian


def driven(stepper):
    for ask in stepper:
        if ask.x_jac is None:
            stepper.tell(ask, TellData([decay(x) for x in ask.x_fun]))
        else:
            stepper.tell(ask, TellData(decay(ask.x_fun[0])))
            stepper.tell(ask, TellData(eval_jac=jacobian(ask.x_jac[0])))
    return stepper.result()


def alike(one, other):
    for name in ("x", "fun", "residuals", "jacobian", "jac", "nfev", "njev", "message"):
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("jac", [None, "3-point", True])
@pytest.mark.parametrize("loss", ["linear", "cauchy"])
def test_a_caller_tells_residuals_and_jacobians(jac, loss):
    fun = residuals(both if jac else vectorized(decays), loss, 0.2)
    if jac == "3-point" or jac is None:
        fun = residuals(decays, loss, 0.2)
    expected = LBFGSB().minimize(fun, START, jac)
    stepper = LBFGSB().stepper(START, jac, residuals=True, loss=loss, f_scale=0.2)
    alike(driven(stepper), expected)


def test_a_stepper_of_residuals_can_be_copied_and_pickled():
    stepper = LBFGSB().stepper(START, True, residuals=True, loss="huber")
    for _ in range(3):
        ask = stepper.ask()
        stepper.tell(ask, TellData(decay(ask.x_fun[0]), jacobian(ask.x_jac[0])))
    twins = copy.deepcopy(stepper), pickle.loads(pickle.dumps(stepper))
    expected = driven(stepper)
    for twin in twins:
        alike(driven(twin), expected)


def test_what_a_caller_tells_wrong_is_a_named_error_and_is_not_told():
    stepper = LBFGSB().stepper(START, True, residuals=True)
    ask = stepper.ask()
    with pytest.raises(InvalidValueError, match="expected residuals of shape"):
        stepper.tell(ask, TellData(1.0))
    stepper.tell(ask, TellData(decay(ask.x_fun[0])))
    with pytest.raises(InvalidValueError, match="looks transposed"):
        stepper.tell(ask, TellData(eval_jac=jacobian(ask.x_fun[0]).T))
    stepper.tell(ask, TellData(eval_jac=jacobian(ask.x_fun[0])))
    ask = stepper.ask()
    with pytest.raises(InvalidValueError, match="3 residuals, but 20 before"):
        stepper.tell(ask, TellData(np.ones(3)))
    stepper.close()
    with pytest.raises(InvalidInputError, match=r"loss is 'huber'.*residuals=True"):
        LBFGSB().stepper(START, loss="huber")


@pytest.mark.parametrize("jac", [None, jacobian, True])
def test_workers_of_all_kinds_evaluate_residuals(jac):
    fun = residuals(both if jac is True else decay)
    with ThreadPoolExecutor(2) as pool:
        for optimizer in (LBFGSB(), SLSQP()):
            alone = optimizer.minimize(fun, START, jac)
            for workers in (2, pool, pool.map):
                result = optimizer.minimize(fun, START, jac, workers=workers)
                np.testing.assert_allclose(result.x, alone.x, rtol=1e-5)
                np.testing.assert_array_equal(result.residuals, decay(result.x))


def test_workers_take_stacks_and_groups():
    def group(flat):
        return decays(flat.reshape(-1, 2))

    expected = LBFGSB().minimize(residuals(decays), START)
    alike(LBFGSB(max_evals_grouped=4).minimize(residuals(group), START), expected)
    result = LBFGSB().minimize(residuals(decays), START, workers=2)
    np.testing.assert_allclose(result.x, expected.x, rtol=1e-5)


def test_a_step_whose_gradient_was_saved_is_not_evaluated_again():
    """On fewer workers than points, L-BFGS-B looks at the value of a step first."""
    points = []

    def counted(x):
        points.append(x.tobytes())
        return decay(x)

    with ThreadPoolExecutor(2) as pool:
        result = LBFGSB().minimize(residuals(counted), START, workers=pool)
    assert len(set(points)) == len(points) == result.nfev


def test_coroutines_return_residuals():
    @residuals
    async def awaited(x):
        await asyncio.sleep(0)
        return decay(x)

    result = asyncio.run(LBFGSB().minimize_async(awaited, START))
    alike(result, LBFGSB().minimize(residuals(decays), START))


@pytest.mark.parametrize("jac", [None, jacobian, True])
def test_runs_in_lock_step_are_as_they_are_alone(jac):
    fun = residuals(both if jac is True else decay if jac else decays, "soft_l1", 0.3)
    starts = [START, [2.0, 0.5], [1.5, 2.0]]
    together = LBFGSB().minimize_many(fun, starts, jac)
    for start, result in zip(starts, together, strict=True):
        alike(result, LBFGSB().minimize(fun, start, jac))


def test_many_and_stateful_faces_take_residuals():
    fun = residuals(decay)
    found = [
        optimizers.multistart(fun, [(0.1, 3.0)] * 2, 500, seed=1).best,
        *optimizers.race([LBFGSB(), SLSQP(ftol=1e-12)], fun, START).values(),
        P_BFGS(max_processes=2).minimize(fun, START, bounds=[(0.1, 3.0)] * 2, seed=1),
    ]
    expected = LBFGSB().minimize(fun, START)
    for result in found:
        np.testing.assert_allclose(result.x, expected.x, atol=1e-4)
        np.testing.assert_allclose(result.residuals, decay(result.x), atol=1e-12)
    for jac in (None, jacobian, True):
        steppable = SteppableOptimizer(LBFGSB())
        steppable.start(residuals(both if jac is True else decay), START, jac)
        while steppable.continue_condition():
            steppable.step()
        np.testing.assert_allclose(steppable.create_result().x, expected.x, atol=1e-4)


class Listening:
    """A callback that counts the evaluations it hears of."""

    def __init__(self):
        self.heard = 0

    def __call__(self, intermediate_result):
        pass

    def on_evaluation(self, evaluated):
        self.heard += 1


@pytest.mark.parametrize("cls", [LM, TRF, DOGBOX, LBFGSB])
@pytest.mark.parametrize("jac", [None, jacobian], ids=["differences", "given"])
def test_who_listens_hears_of_each_evaluation(cls, jac):
    listening = Listening()
    result = cls().minimize(residuals(decay), START, jac, callback=listening)
    assert listening.heard == result.nfev > 1


@pytest.mark.parametrize("cls", [LM, TRF, DOGBOX, LBFGSB])
@pytest.mark.parametrize("jac", [None, jacobian], ids=["differences", "given"])
def test_a_target_ends_a_fit_at_the_first_value_that_reaches_it(cls, jac):
    target = 0.5 * cls().minimize(residuals(decay), START, jac, maxfun=1).fun
    result = cls().minimize(residuals(decay), START, jac, f_target=target)
    assert result.stop is StopReason.TARGET
    assert result.success
    assert result.fun == result.best.fun <= target
