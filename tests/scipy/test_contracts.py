"""What SciPy's own callers, and those of Qiskit, hand over and take back."""

import numpy as np
import pytest
import scipy.optimize as so
from scipy.optimize import OptimizeResult, rosen

from optimizers import (
    NELDER_MEAD,
    InvalidInputError,
    InvalidValueError,
    Optimizer,
    OptimizerResult,
    SciPyOptimizer,
    StopReason,
    SupportLevel,
    TellData,
    TrustExact,
    fmin_l_bfgs_b,
    fmin_tnc,
)
from tests.making import shown


def custmin(fun, x0, args=(), maxfev=None, stepsize=0.1, maxiter=100, callback=None, **options):
    """Minimize, as the example in SciPy's documents does; its result has no message."""
    bestx, besty, funcalls, niter, improved, stop = x0, fun(x0), 1, 0, True, False
    while improved and not stop and niter < maxiter:
        improved = False
        niter += 1
        for dim in range(np.size(x0)):
            for s in [bestx[dim] - stepsize, bestx[dim] + stepsize]:
                testx = np.copy(bestx)
                testx[dim] = s
                testy = fun(testx, *args)
                funcalls += 1
                if testy < besty:
                    besty, bestx, improved = testy, testx, True
            if callback is not None:
                callback(bestx)
            if maxfev is not None and funcalls >= maxfev:
                stop = True
                break
    return OptimizeResult(fun=besty, x=bestx, nit=niter, nfev=funcalls, success=(niter > 1))


class TestResultsOfOthers:
    def test_a_result_without_a_message_is_one(self):
        optimizer = SciPyOptimizer(custmin, options={"stepsize": 0.05})
        result = optimizer.minimize(rosen, [1.35, 0.9, 0.8, 1.1, 1.2])
        assert result.x == pytest.approx(np.ones(5))
        assert result.success
        assert result.stop is StopReason.CONVERGED
        assert result.message == "The algorithm's own convergence test is met."

    @pytest.mark.parametrize(
        ("raw", "success", "stop"),
        [
            (OptimizeResult(x=[1.0, 2.0]), False, StopReason.OTHER),
            ({"x": np.array([1, 2]), "success": True, "message": None}, True, StopReason.CONVERGED),
            (OptimizerResult(x=[1.0, 2.0], stop=StopReason.TARGET), False, StopReason.TARGET),
        ],
        ids=["x", "dict", "ours"],
    )
    def test_of_a_method_and_of_a_subclass_only_x_is_needed(self, raw, success, stop):
        class Own(Optimizer):
            support_levels = dict.fromkeys(
                ("gradient", "bounds", "initial_point"), SupportLevel.supported
            )

            def minimize(self, fun, x0, jac=None, bounds=None):
                fun(x0)
                return raw

        stepper = Own().stepper([3.0, 4.0])
        for ask in stepper:
            stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun]))
        for result in (
            SciPyOptimizer(lambda fun, x0, **_: raw).minimize(rosen, [3.0, 4.0]),
            stepper.result(),
        ):
            assert result.x.tolist() == [1.0, 2.0]
            assert result.fun == rosen([1.0, 2.0])
            assert (result.success, result.stop) == (success, stop)
            assert result.message

    @pytest.mark.parametrize("raw", [None, 3.0, OptimizeResult(), {"x": [1.0]}, {"x": [1, np.nan]}])
    def test_without_x_there_is_an_error_that_keeps_what_was_paid_for(self, raw):
        def method(fun, x0, **_):
            fun(x0)
            return raw

        with pytest.raises(InvalidValueError, match="with 2 finite numbers as x") as caught:
            SciPyOptimizer(method).minimize(rosen, [3.0, 4.0])
        assert caught.value.optimizer_result.best.fun == rosen([3.0, 4.0])

    def test_a_new_result_has_qiskits_entries_as_none(self):
        result = OptimizerResult()
        for name in ("x", "fun", "jac", "nfev", "njev", "nit"):
            assert getattr(result, name) is None
            assert result[name] is None
        assert not result
        result.x = 3.0
        assert result == {"x": 3.0}
        with pytest.raises(AttributeError):
            result.message  # noqa: B018  # it raises
        with pytest.raises(KeyError):
            result["message"]


class TestArguments:
    @pytest.mark.parametrize(
        "args",
        [np.array([1.0, 2.0]), 0.0, 0.5, "mode", {"a": 1.0}, [1.0, 2.0], (0.5,), False],
        ids=shown,
    )
    def test_args_is_a_tuple_or_one_argument_as_in_scipy(self, args):
        seen = []

        def note(value):
            def function(x, *further):
                seen.append(further)
                return value(x)

            return function

        given = {
            "fun": note(lambda x: float(x @ x)),
            "x0": [3.0, 4.0],
            "jac": note(lambda x: 2 * x),
            "hess": note(lambda x: 2 * np.eye(2)),
        }
        so.minimize(method="trust-exact", args=args, **given)
        (expected,) = {str(further) for further in seen}
        for run in (
            lambda: TrustExact()(args=args, **given),
            lambda: so.minimize(method=TrustExact(), args=args, **given),
            lambda: TrustExact(args=args).minimize(**given),
            lambda: SciPyOptimizer("trust-exact", args=args).minimize(**given),
        ):
            seen.clear()
            assert run().nhev > 0
            assert {str(further) for further in seen} == {expected}

    @pytest.mark.parametrize("args", ["ab", {"a": 1}])
    def test_what_a_wrapper_would_take_apart_is_an_error(self, args):
        with pytest.raises(InvalidInputError, match="for a single one"):
            Optimizer.wrap_function(rosen, args)

    @pytest.mark.parametrize("bounds", [[None] * 2, (None, (0, 1)), [(None, 5), None]], ids=str)
    def test_none_stands_for_a_pair_without_bounds(self, bounds):
        pairs = [(None, None) if pair is None else pair for pair in bounds]
        for run in (
            lambda b: fmin_tnc(lambda x: (float(x @ x), 2 * x), [3.0, 0.5], bounds=b, messages=0),
            lambda b: fmin_l_bfgs_b(lambda x: (float(x @ x), 2 * x), [3.0, 0.5], bounds=b),
            lambda b: [NELDER_MEAD(maxiter=9).minimize(rosen, [3.0, 0.5], bounds=b).x],
        ):
            assert np.array_equal(run(bounds)[0], run(pairs)[0])
