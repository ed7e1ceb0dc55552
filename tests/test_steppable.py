"""Qiskit's stateful face, on any optimizer."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import (
    BFGS,
    LBFGSB,
    SLSQP,
    TNC,
    InvalidInputError,
    SteppableOptimizer,
    StepperError,
    TellData,
    testing,
)

X0 = [-0.7, 0.9, 0.4]


@pytest.mark.parametrize("jac", [None, rosen_der, "3-point", True])
@pytest.mark.parametrize("cls", [LBFGSB, TNC, SLSQP])
def test_steps_lead_where_minimize_leads(cls, jac):
    fun = (lambda x: (rosen(x), rosen_der(x))) if jac is True else rosen
    direct = cls().minimize(fun, X0, jac)
    steppable = SteppableOptimizer(cls())
    steppable.start(fun, X0, jac=jac)
    while steppable.continue_condition():
        steppable.step()
    result = steppable.create_result()
    assert np.array_equal(result.x, direct.x)
    assert result.nit == direct.nit
    same = SteppableOptimizer(cls()).minimize(fun, X0, jac)
    assert np.array_equal(same.x, direct.x)
    assert same.nfev == direct.nfev


def test_a_loop_as_qiskits_users_write_it():
    optimizer = SteppableOptimizer(LBFGSB())
    optimizer.start(x0=np.array(X0), fun=rosen, jac=rosen_der)
    while optimizer.continue_condition():
        ask_data = optimizer.ask()
        assert ask_data.x_jac.shape == (3,)
        tell_data = TellData(eval_fun=rosen(ask_data.x_fun), eval_jac=rosen_der(ask_data.x_jac))
        optimizer.state.njev += 1
        optimizer.tell(ask_data=ask_data, tell_data=tell_data)
    result = optimizer.create_result()
    assert result.success
    assert result.njev == result.nfev
    assert optimizer.state.fun is rosen
    assert optimizer.state.jac is rosen_der
    assert np.array_equal(optimizer.state.x, result.x)


def test_groups_are_kept():
    calls = []

    def fun(x):
        points = np.reshape(x, (-1, 3))
        calls.append(len(points))
        values = [rosen(point) for point in points]
        return values if len(values) > 1 else values[0]

    optimizer = SteppableOptimizer(BFGS(max_evals_grouped=4))
    optimizer.start(fun, X0)
    optimizer.step()
    assert calls == [4]


def test_a_result_so_far_leaves_the_run_going():
    optimizer = SteppableOptimizer(TNC())
    optimizer.start(rosen, X0)
    optimizer.step()
    assert optimizer.create_result().nfev == optimizer.state.nfev > 0
    assert optimizer.continue_condition()
    optimizer.start(rosen, X0)  # closes the other
    assert optimizer.state.nfev == 0


def test_single_precision_is_seen():
    optimizer = SteppableOptimizer(LBFGSB())
    optimizer.start(lambda x: np.float32(rosen(x)), [-1.2, 1.0])
    while optimizer.continue_condition():
        optimizer.step()
    assert optimizer.create_result().fun < 1e-3


def test_errors_name_what_to_do():
    with pytest.raises(InvalidInputError, match="expected an Optimizer"):
        SteppableOptimizer("LBFGSB")
    optimizer = SteppableOptimizer(LBFGSB())
    with pytest.raises(StepperError, match="call start"):
        optimizer.step()
    with pytest.raises(InvalidInputError, match="callable"):
        optimizer.start(3.0, X0)


def test_its_settings_are_the_optimizer_and_options_are_set_there():
    optimizer = SteppableOptimizer(LBFGSB(maxfun=7))
    assert SteppableOptimizer(**optimizer.settings) == optimizer
    optimizer.set_options(maxcor=3)
    optimizer.set_max_evals_grouped(2)
    inner = optimizer.settings["optimizer"]
    assert inner.settings["options"]["maxcor"] == 3
    assert inner.settings["max_evals_grouped"] == 2


# Its settings hold an optimizer: they are no JSON.
_CHECKS = [check for check in testing.CHECKS if check is not testing.check_settings_round_trip]


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: check.__name__)
def test_it_passes_the_conformance_suite(check):
    check(lambda *args, **settings: SteppableOptimizer(LBFGSB(*args, **settings)))
