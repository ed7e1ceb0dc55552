"""What SciPy's own callers, and those of Qiskit, hand over and take back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.optimize as so
from scipy.optimize import OptimizeResult, rosen, rosen_der, rosen_hess

from optimizers import (
    COBYLA,
    COBYQA,
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    CapabilityError,
    InvalidInputError,
    InvalidValueError,
    NewtonCG,
    Optimizer,
    OptimizerResult,
    OptionError,
    SciPyOptimizer,
    StopReason,
    SupportLevel,
    TellData,
    TrustConstr,
    TrustExact,
    TrustKrylov,
    TrustNCG,
    UnknownOptionError,
    fmin_l_bfgs_b,
    fmin_tnc,
    vectorized,
)
from tests.making import make, of_values, shown


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

    @pytest.mark.parametrize("args", [(0.5,), [0.5], np.array([0.5])], ids=shown)
    @pytest.mark.parametrize("cls", [SLSQP, COBYLA, COBYQA, TrustConstr])
    @pytest.mark.filterwarnings("ignore:delta_grad:UserWarning")  # SciPy's word at the end
    def test_args_of_a_constraint_are_a_sequence_as_in_scipy(self, cls, args):
        constraint = {"type": "ineq", "fun": lambda x, a: x[0] ** 2 - a**3 / 2, "args": args}
        optimizer = cls(maxiter=50)
        result = optimizer.minimize(lambda x: float(x @ x), [1.0, 1.0], constraints=constraint)
        assert result.x[0] == pytest.approx(0.25, abs=1e-2)

    @pytest.mark.parametrize("args", [0.5, 0.0, "mode", {"a": 1}], ids=shown)
    def test_other_args_of_a_constraint_are_an_error(self, args):
        constraint = {"type": "ineq", "fun": lambda x, a: x[0], "args": args}
        with pytest.raises(InvalidInputError, match="args of a constraint"):
            SLSQP().minimize(rosen, [1.0, 1.0], constraints=constraint)

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


class TestBoundsAndConstraints:
    """The objective and the constraints are asked at the same points, inside the bounds."""

    BOX = so.Bounds([0, 0], [1, 1])
    KEPT = so.Bounds([0, 0], [1, 1], keep_feasible=True)

    @staticmethod
    def fun(x):
        return float((x[0] + 2) ** 2 + (x[1] - 3) ** 2)

    @staticmethod
    def con(x):
        assert np.all(x >= 0), x
        assert np.all(x <= 1), x
        return np.sqrt(x[0]) + np.sqrt(1 - x[1])

    FORMS = {  # noqa: RUF012  # never changed
        "nonlinear": lambda con: so.NonlinearConstraint(con, 0.4, 2.0),
        "3-point": lambda con: so.NonlinearConstraint(con, 0.4, 2.0, jac="3-point"),
        "dict": lambda con: {"type": "ineq", "fun": lambda x, a: con(x) - a, "args": (0.4,)},
        "dict with jac": lambda con: {
            "type": "ineq",
            "fun": lambda x, a: con(x) - a,
            "jac": lambda x, a: so.approx_fprime(np.clip(x, 1e-6, 1 - 1e-6), con, 1e-8),
            "args": (0.4,),
        },
    }

    @pytest.mark.parametrize("bounds", [BOX, KEPT, [(0, 1)] * 2], ids=["box", "kept", "pairs"])
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("cls", [TrustConstr, SLSQP, COBYLA, COBYQA])
    @pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the root's slope at the bound
    def test_constraints_are_asked_inside(self, cls, form, bounds):
        constraint = self.FORMS[form](self.con)
        for start in ([0.05, 0.9], [0.6, 0.2]):
            result = cls().minimize(self.fun, start, bounds=bounds, constraints=constraint)
            assert result.maxcv < 1e-3 or not result.success
            if cls is TrustConstr:  # others stop where the slope is infinite, as in SciPy
                assert result.fun < self.fun([0.15, 1.0])

    def test_differences_of_a_constraint_are_right_at_a_bound(self):
        # The minimum is on the upper bound, where a probe beyond would see no slope.
        result = TrustConstr().minimize(
            lambda x: -x[0] - 0.1 * x[1],
            [0.5, 0.5],
            bounds=[(0, 1), (0, 1)],
            constraints=so.NonlinearConstraint(lambda x: x[0] ** 2 + x[1] ** 2, -np.inf, 1.25),
        )
        assert result.x == pytest.approx([1.0, 0.5], abs=1e-3)
        assert result.success

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("cls", [TrustConstr, SLSQP, COBYLA, COBYQA])
    def test_a_variable_without_room_has_no_slope(self, cls, form):
        constraint = self.FORMS[form](lambda x: x[0] ** 2 + x[0] + x[2])
        bounds = [(0, 1), (0, 1), (0.1, 0.1)]
        start = [0.9, 0.5, 0.1]
        result = cls().minimize(
            lambda x: float(x @ x), start, bounds=bounds, constraints=constraint
        )
        assert result.x == pytest.approx([(2.2**0.5 - 1) / 2, 0.0, 0.1], abs=1e-2)

    @pytest.mark.filterwarnings("ignore:delta_grad:UserWarning")  # SciPy's own run
    def test_keep_feasible_is_scipys(self):
        # By itself the first step leaves the bounds.
        def scipys(bounds):
            return so.minimize(rosen, [0.5, 0.2], method="trust-constr", bounds=bounds)

        for bounds in (self.BOX, self.KEPT, so.Bounds([0, -1], [0.8, 1], [True, False])):
            expected = scipys(bounds)
            result = TrustConstr().minimize(rosen, [0.5, 0.2], bounds=bounds)
            assert result.x == pytest.approx(expected.x, abs=1e-3)


class TestStateOfTrustConstr:
    def run(self, callback, optimizer=None):
        return (optimizer or TrustConstr()).minimize(
            rosen,
            [0.5, 2.0],
            bounds=[(0, 2), (0, 3)],
            constraints=so.NonlinearConstraint(lambda x: x @ x, 0, 4),
            callback=callback,
        )

    @pytest.mark.parametrize("name", ["state", "s", "info"])
    def test_a_second_argument_is_scipys_state(self, name):
        seen = []
        callback = eval(f"lambda xk, {name}: seen.append((xk, {name}))", {"seen": seen})
        result = self.run(callback, SciPyOptimizer("trust-constr"))
        theirs = []
        so.minimize(
            rosen,
            [0.5, 2.0],
            method="trust-constr",
            bounds=[(0, 2), (0, 3)],
            constraints=so.NonlinearConstraint(lambda x: x @ x, 0, 4),
            callback=lambda xk, state: theirs.append(dict(state)),
        )
        assert len(seen) == result.nit
        for number, (xk, state) in enumerate(seen, 1):
            assert isinstance(state, so.OptimizeResult)
            assert state.nit == state.niter == number
            assert np.array_equal(state.x, xk)
            assert set(state) >= set(theirs[0]) - {"jac"}
        few = slice(0, 3)
        for entry in ("tr_radius", "constr_violation", "barrier_parameter", "optimality"):
            ours = [state[entry] for _, state in seen[few]]
            assert ours == pytest.approx([state[entry] for state in theirs[few]], rel=1e-3)

    def test_the_intermediate_result_has_it_too(self):
        seen = []
        self.run(lambda intermediate_result: seen.append(intermediate_result.tr_radius))
        assert seen[0] == 1.0

    def test_a_second_argument_that_is_called_a_value_is_one(self):
        seen = []
        for callback in (lambda xk, fun: seen.append(fun), lambda weights, loss: seen.append(loss)):
            self.run(callback)
        assert all(type(value) is float for value in seen)

    def test_its_answer_ends_the_run(self):
        result = self.run(lambda xk, state: state.nit == 3)
        assert (result.nit, result.stop) == (3, StopReason.CALLBACK)


class TestHessianByComplexSteps:
    @pytest.mark.parametrize("cls", [NewtonCG, TrustConstr, TrustNCG, TrustKrylov])
    @pytest.mark.parametrize("form", ["function", "joint", "vectorized"])
    def test_as_in_scipy(self, cls, form):
        def jac(x):
            return 4 * x * (x**2 - 1)

        def fun(x):
            value = ((x**2 - 1) ** 2).sum()
            return (value, jac(x)) if form == "joint" else float(value)

        given = {"joint": True, "function": jac, "vectorized": vectorized(jac)}[form]
        result = cls().minimize(fun, 4 * np.ones(4), given, hess="cs")
        assert abs(result.x) == pytest.approx(np.ones(4), abs=1e-4)
        exact = cls().minimize(fun, 4 * np.ones(4), given, hess=lambda x: np.diag(12 * x**2 - 4))
        assert (result.nit, result.nhev) == (exact.nit, exact.nhev)

    def test_a_gradient_that_drops_the_imaginary_part_is_an_error(self):
        with pytest.raises(InvalidValueError, match="'cs' needs a function that supports complex"):
            NewtonCG().minimize(
                lambda x: float(x @ x), [1.0, 2.0], lambda x: 2 * np.real(x), hess="cs"
            )

    def test_without_a_gradient_of_the_users_it_is_refused(self):
        with pytest.raises(CapabilityError, match="pass jac as a function"):
            TrustConstr().minimize(pytest.fail, [1.0, 2.0], hess="cs")
        with pytest.raises(CapabilityError, match="pass jac as a function"):
            TrustConstr().stepper([1.0, 2.0], hess="cs")
        with pytest.raises(CapabilityError, match="tells gradients at real points"):
            TrustConstr().stepper([1.0, 2.0], True, hess="cs")


EVERY = list(of_values().values())


class TestOptionsOfScipysMinimize:
    """``scipy.optimize.minimize(method=optimizer, options=..., tol=...)``."""

    def test_they_hold_for_the_run(self):
        optimizer = LBFGSB(maxiter=50)
        before = optimizer.settings
        for options, nit in (({"maxiter": 3}, 3), ({}, 50), ({"maxfun": 9}, 50)):
            result = so.minimize(rosen, [0.0, 0.0], method=optimizer, tol=1e-9, options=options)
            assert result.nit <= nit
            assert result.nfev <= options.get("maxfun", 1000)
        assert optimizer.settings == before
        strict, rough = (
            so.minimize(rosen, [0.0, 0.0], method=NELDER_MEAD(maxfev=2000), tol=tol)
            for tol in (1e-8, 1e-2)
        )
        assert rough.nfev < strict.nfev
        direct = NELDER_MEAD(maxfev=2000, tol=1e-8).minimize(rosen, [0.0, 0.0])
        assert np.array_equal(direct.x, strict.x)

    @pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
    def test_of_every_class(self, cls):
        optimizer = make(cls)
        if "maxiter" not in optimizer.settings or not isinstance(
            optimizer.settings["maxiter"], int
        ):
            return
        result = so.minimize(
            rosen,
            [0.9, 0.8],
            jac=rosen_der if optimizer.is_gradient_required else None,
            hess=rosen_hess if optimizer.is_gradient_required else None,
            method=optimizer,
            options={"maxiter": 2},
        )
        assert result.nit <= 2
        assert optimizer == make(cls)
        # Its callers ask whether there is a gradient, as iminuit does.
        assert ("jac" in result) == (result.jac is not None)

    def test_a_method_of_the_users_gets_its_own(self):
        optimizer = SciPyOptimizer(custmin, options={"stepsize": 0.05})
        options = {"maxiter": 1, "stepsize": 0.5}
        result = so.minimize(rosen, [1.35, 0.9], method=optimizer, options=options)
        assert result.nfev == 5
        assert result.x == pytest.approx([0.85, 0.9], rel=1e-12)

    def test_an_unknown_one_is_named(self):
        with pytest.raises(UnknownOptionError, match="no setting 'maxitr'"):
            so.minimize(pytest.fail, [0.0], method=LBFGSB(), options={"maxitr": 3})
        with pytest.raises(OptionError, match="tol is 'x'"):
            so.minimize(pytest.fail, [0.0], method=LBFGSB(), tol="x")


class TestLimitsOfInfinity:
    @pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
    @pytest.mark.parametrize("name", ["maxiter", "maxfev", "maxfun", "max_eval"])
    def test_is_no_limit(self, cls, name):
        optimizer = make(cls)
        if name != "maxfun" and name not in optimizer.settings:
            return
        seen = []

        def stop(intermediate_result):
            seen.append(intermediate_result.nit)
            return len(seen) == 4

        more = {}
        if optimizer.is_gradient_required:
            more = {"jac": rosen_der, "hess": rosen_hess}
        try:
            optimizer.set_options(**{name: np.inf})
        except UnknownOptionError:  # a setting of the run
            more[name] = np.inf
        assert cls(**optimizer.settings) == optimizer
        result = optimizer.minimize(rosen, [-1.2, 1.0], callback=stop, **more)
        assert not result.stop.is_budget or result.stop.value != name

    @pytest.mark.parametrize("name", ["maxiter", "maxfev", "maxfun"])
    def test_by_the_name_of_a_method(self, name):
        for method in ("Nelder-Mead", "Powell", "TNC", "COBYLA", "SLSQP", "trust-constr", "COBYQA"):
            for options in ({name: np.inf}, {name: float("inf"), "disp": False}):
                try:
                    optimizer = SciPyOptimizer(method, options=options)
                except UnknownOptionError:
                    continue
                assert optimizer.minimize(rosen, [0.9, 0.9], maxfun=400).nfev > 4

    def test_minus_infinity_and_nan_are_none(self):
        for limit in (-np.inf, np.nan):
            with pytest.raises(OptionError, match="maxiter is"):
                LBFGSB(maxiter=limit)
            with pytest.raises(OptionError, match="maxfun is"):
                COBYLA().minimize(pytest.fail, [1.0], maxfun=limit)

    @pytest.mark.parametrize("method", ["Nelder-Mead", "Powell"])
    @pytest.mark.parametrize("open_end", ["maxiter", "maxfev"])
    def test_the_other_limit_is_scipys_default_then(self, method, open_end):
        def restless(x):  # SciPy's own test of its limits
            radius, angle = np.hypot(*x), np.arctan2(*x)
            return np.sin(20 * radius + angle) + 0.5 * radius

        tolerances = ("xatol", "fatol") if method == "Nelder-Mead" else ("xtol", "ftol")
        options = {open_end: np.inf, **dict.fromkeys(tolerances, 0.0)}
        expected = so.minimize(restless, [0.1, 0.1], method=method, options=options)
        optimizer = SciPyOptimizer(method, options=options)
        result = optimizer.minimize(restless, [0.1, 0.1])
        assert result.success == expected.success
        assert result.nfev <= expected.nfev  # SciPy counts points that it asks for again
        if method == "Nelder-Mead":  # it begins to count iterations at 1
            name = "nit" if open_end == "maxfev" else "nfev"
            assert expected[name] - 1 <= result[name] <= expected[name]

    def test_the_functions_too(self):
        def both(x):
            return float(x @ x), 2 * x

        assert fmin_tnc(both, [3.0, 4.0], maxfun=np.inf, messages=0)[0] == pytest.approx(
            [0, 0], abs=1e-6
        )
        found = fmin_l_bfgs_b(both, [3.0, 4.0], maxfun=np.inf, maxiter=np.inf)
        assert found[0] == pytest.approx([0, 0], abs=1e-6)


class TestObjectsAmongOptions:
    def test_workers_may_be_among_options(self):
        with ThreadPoolExecutor(2) as pool:
            for optimizer in (
                SciPyOptimizer("BFGS", options={"workers": pool.map}),
                LBFGSB(options={"workers": pool.map}),
            ):
                assert optimizer.minimize(rosen, [0.9, 0.8]).success
                assert optimizer.settings["workers"] == pool.map
                so.minimize(rosen, [0.9, 0.8], method=optimizer, options={"workers": map})

    def test_what_cannot_be_copied_is_handed_on(self):
        lock = threading.Lock()

        def method(fun, x0, lock, **_):
            seen.append(lock)
            return {"x": x0, "success": True}

        seen = []
        optimizer = SciPyOptimizer(method, options={"lock": lock})
        optimizer.set_options(lock=lock)
        assert optimizer.settings["options"]["lock"] is lock
        assert optimizer.minimize(rosen, [0.9, 0.8]).success
        assert seen == [lock]
