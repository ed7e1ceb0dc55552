"""The contracts that no single class owns: options, settings, budgets, waves, failures."""

import json
import math
import warnings

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint, rosen, rosen_der

from optimizers import (
    BFGS,
    CG,
    COBYLA,
    COBYQA,
    L_BFGS_B,
    LBFGSB,
    LM,
    NELDER_MEAD,
    POWELL,
    SLSQP,
    SPSA,
    TNC,
    CapabilityError,
    InvalidInputError,
    InvalidValueError,
    MisplacedBoundsError,
    NonFiniteValueError,
    Optimizer,
    OptimizerWarning,
    OptionError,
    SciPyOptimizer,
    StopReason,
    SupportLevel,
    TrustConstr,
    UnknownOptionError,
    vectorized,
)
from optimizers.problems import h2
from optimizers.testing import Bowl
from tests.making import fidelity, of_values

WITH_GRADIENT = [TNC, LBFGSB, BFGS, CG]
BY_VALUES_ALONE = [cls for cls in of_values().values() if not cls().is_gradient_required]
START = [-1.2, 1.0, 0.5, -0.3, 0.8, 1.1]


class Recorder:
    """Rosenbrock's function of any number of points at once, with a record of each call's size."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.calls: list[int] = []
        self.points: list[bytes] = []

    def __call__(self, x):
        points = np.asarray(x).reshape(-1, self.n)
        self.calls.append(len(points))
        self.points += [point.tobytes() for point in points]
        values = [rosen(point) for point in points]
        return values[0] if len(values) == 1 else np.array(values)


class TestCounts:
    @pytest.mark.parametrize("cls", WITH_GRADIENT)
    @pytest.mark.parametrize("group", [1, 3, 9])
    def test_nfev_counts_every_point_of_every_group(self, cls, group):
        fun = Recorder(6)
        result = cls(max_evals_grouped=group).minimize(fun, START, maxfun=400)
        assert result.nfev == sum(fun.calls)
        assert result.njev == 0

    def test_the_vqe_of_six_parameters_in_groups_of_nine_is_counted_right(self):
        molecule = h2()
        points = 0

        def energy(x):
            nonlocal points
            points += x.size // 6
            return molecule(x)

        result = TNC(max_evals_grouped=9).minimize(energy, molecule.x0)
        assert result.nfev == points
        assert result.fun == pytest.approx(molecule.ground_energy, abs=1e-6)

    @pytest.mark.parametrize("cls", WITH_GRADIENT)
    def test_njev_counts_calls_of_jac(self, cls):
        calls = []

        def jac(x):
            calls.append(x)
            return rosen_der(x)

        result = cls().minimize(rosen, START, jac)
        assert result.njev == len(calls)


#: What some classes need, and a rate that does not lead away from a steep function's start.
NEEDED = {"QNSPSA": {"fidelity": fidelity}, "QNG": {"fidelity": fidelity, "learning_rate": 1e-5}}


class TestBudgets:
    @pytest.mark.parametrize("cls", BY_VALUES_ALONE)
    @pytest.mark.parametrize("maxfun", [1, 6, 7, 40])
    def test_maxfun_is_hard(self, cls, maxfun):
        fun = Recorder(6)
        # Not the short settings: those may end before the budget.
        optimizer = cls(**NEEDED.get(cls.__name__, {}))
        result = optimizer.minimize(fun, START, maxfun=maxfun)
        assert sum(fun.calls) == result.nfev <= maxfun
        assert result.stop == StopReason.MAXFUN
        assert not result.success
        assert result.fun == result.best.fun == rosen(result.x)

    @pytest.mark.parametrize("cls", [NELDER_MEAD, POWELL, COBYQA])
    def test_maxfev_is_hard_too(self, cls):
        fun = Recorder(6)
        result = cls(maxfev=30).minimize(fun, START)
        assert sum(fun.calls) == result.nfev <= 30
        assert result.stop == StopReason.MAXFUN

    @pytest.mark.parametrize("cls", [NELDER_MEAD, POWELL, COBYQA])
    def test_maxfev_counts_each_point_once(self, cls):
        result = cls(maxfev=400).minimize(rosen, np.resize([-1.2, 1.0], 20))
        assert result.nfev == 400  # Powell asks for some twice, which costs nothing

    def test_the_budget_of_a_call_wins_over_the_constructors(self):
        assert LBFGSB(maxfun=10).minimize(rosen, START, maxfun=400).nfev > 10
        assert TNC(maxfun=400).minimize(rosen, START, maxfun=10).nfev <= 10
        assert LBFGSB(maxfun=400).minimize(rosen, START, maxfun=10).nfev <= 10

    @pytest.mark.parametrize("cls", [LBFGSB, BFGS, CG, SLSQP, COBYLA, COBYQA, NELDER_MEAD, POWELL])
    def test_maxiter_means_iterations(self, cls):
        result = cls(maxiter=3).minimize(rosen, START)
        assert result.nit <= 3
        assert result.stop == StopReason.MAXITER
        assert not result.success

    def test_tncs_maxiter_counts_pairs_of_value_and_gradient(self):
        result = TNC(maxiter=5).minimize(rosen, START, rosen_der)
        # SciPy's TNC checks its limit after an iteration, and evaluates once more at its end.
        assert 5 <= result.nfev <= 7
        assert result.stop == StopReason.MAXFUN

    @pytest.mark.parametrize("seed", [-1, 1.5, "lucky", [1.5], {}], ids=repr)
    def test_a_seed_that_numpy_does_not_take_is_an_error_before_the_first_evaluation(self, seed):
        with pytest.raises(OptionError, match=r"seed is .*numpy\.random\.default_rng"):
            TNC(seed=seed)
        fun = Recorder(6)
        with pytest.raises(OptionError, match="seed is"):
            TNC().minimize(fun, START, seed=seed)
        assert fun.calls == []

    @pytest.mark.parametrize(
        "seed",
        [None, 0, [1, 2], np.int64(3), np.random.SeedSequence(4), np.random.default_rng(5)],
        ids=lambda seed: type(seed).__name__,
    )
    def test_a_seed_is_what_numpy_takes(self, seed):
        assert LBFGSB(seed=seed).minimize(rosen, START, seed=seed).success

    @pytest.mark.parametrize("maxfun", [0, -1, "many", True])
    def test_a_budget_that_allows_nothing_is_an_error(self, maxfun):
        with pytest.raises(OptionError, match="maxfun"):
            TNC(maxfun=maxfun)


class TestWaves:
    @pytest.mark.parametrize("cls", WITH_GRADIENT)
    @pytest.mark.parametrize("group", [1, 2, 4, 7, 9])
    def test_value_and_probes_travel_together(self, cls, group):
        fun = Recorder(6)
        points = 13 if cls is TNC else 7  # TNC's differences are central
        result = cls(max_evals_grouped=group).minimize(fun, START, maxfun=points * 20)
        calls_a_point = math.ceil(points / group)
        waves, rest = divmod(len(fun.calls), calls_a_point)
        assert rest == 0
        assert result.nfev == points * waves
        sizes = [group] * (points // group) + ([points % group] if points % group else [])
        assert fun.calls == sizes * waves

    @pytest.mark.parametrize("cls", WITH_GRADIENT)
    def test_no_point_is_evaluated_twice(self, cls):
        fun = Recorder(6)
        cls(max_evals_grouped=7).minimize(fun, START, maxfun=7 * 20)
        assert len(set(fun.points)) == len(fun.points)

    def test_a_marked_objective_gets_one_stack_a_wave(self):
        shapes = []

        @vectorized
        def stack(points):
            shapes.append(points.shape)
            return np.array([rosen(point) for point in points])

        result = LBFGSB().minimize(stack, START)
        assert set(shapes) == {(7, 6)}
        assert result.nfev == 7 * len(shapes)
        assert np.array_equal(result.x, LBFGSB().minimize(rosen, START).x)

    def test_workers_vectorized_says_the_same(self):
        def stack(points):
            return np.array([rosen(point) for point in points])

        result = LBFGSB(workers="vectorized").minimize(stack, START)
        assert np.array_equal(result.x, LBFGSB().minimize(rosen, START).x)

    def test_a_map_takes_the_place_of_the_loop(self):
        result = LBFGSB().minimize(rosen, START, workers=map)
        assert np.array_equal(result.x, LBFGSB().minimize(rosen, START).x)

    def test_a_wrong_number_of_answers_says_how_many_were_expected(self):
        with pytest.raises(InvalidValueError, match="expected 4 numbers"):
            LBFGSB(max_evals_grouped=4).minimize(lambda x: [1.0, 2.0], START)

    @pytest.mark.parametrize(
        "wrap", [float, np.float32, np.float64, np.array, lambda v: [v], lambda v: np.array([[v]])]
    )
    def test_an_answer_may_be_any_one_number(self, wrap):
        result = NELDER_MEAD(maxfev=20).minimize(lambda x: wrap(rosen(x)), START)
        assert result.nfev == 20


class TestGradients:
    def test_gradient_num_diff_groups_as_documented(self):
        sizes = []

        def fun(flat):
            sizes.append(flat.size)
            values = [rosen(x) for x in flat.reshape(-1, 5)]
            return values[0] if len(values) == 1 else values

        x = np.array(START[:5])
        gradient = Optimizer.gradient_num_diff(x, fun, 1e-7, 2)
        assert sizes == [5, 10, 10, 5]
        assert gradient.shape == (5,)
        assert gradient == pytest.approx(rosen_der(x), rel=1e-4, abs=1e-3)

    @pytest.mark.parametrize("wrap", [float, np.array, lambda v: [v], lambda v: np.array([[v]])])
    def test_gradient_num_diff_returns_a_vector_whatever_f_returns(self, wrap):
        gradient = TNC().gradient_num_diff(np.array(START), lambda x: wrap(rosen(x)), 1e-7)
        assert gradient.shape == (6,)

    def test_wrap_function_injects_the_args(self):
        assert Optimizer.wrap_function(lambda x, a, b: (x, a, b), (2, 3))(1) == (1, 2, 3)

    @pytest.mark.parametrize("cls", [TNC, LBFGSB, BFGS, SLSQP])
    @pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
    def test_schemes_by_name(self, cls, scheme):
        def fun(x):  # analytic, so that the complex step applies
            return np.sum((x - 1) ** 2) + np.sum((x - 1) ** 4)

        result = cls().minimize(fun, [3.0, -2.0], scheme)
        assert result.x == pytest.approx([1, 1], abs=2e-3)

    @pytest.mark.parametrize("cls", [TNC, LBFGSB, BFGS, SLSQP, TrustConstr])
    def test_jac_true_unpacks_value_and_gradient(self, cls):
        both = cls().minimize(lambda x: (rosen(x), rosen_der(x)), START[:2], True)
        apart = cls().minimize(rosen, START[:2], rosen_der)
        assert np.array_equal(both.x, apart.x)
        assert both.nfev == apart.nfev

    @pytest.mark.parametrize("cls", [NELDER_MEAD, POWELL, COBYLA, COBYQA])
    def test_jac_true_is_unpacked_also_where_the_gradient_is_of_no_use(self, cls):
        with pytest.warns(OptimizerWarning, match="ignores jac"):
            both = cls().minimize(lambda x: (rosen(x), rosen_der(x)), START[:2], True)
        assert np.array_equal(both.x, cls().minimize(rosen, START[:2]).x)

    @pytest.mark.parametrize("cls", [TNC, LBFGSB, SLSQP, TrustConstr])
    def test_differences_stay_inside_the_bounds(self, cls):
        points = []

        def fun(x):
            points.append(x)
            return float(np.sum((x - 2) ** 2) - np.sum(np.sqrt(x)))  # NaN below 0

        result = cls().minimize(fun, [0.0, 1.0, 2.0], bounds=[(0, 1), (0, 1), (0, 2)])
        assert np.min(points) >= 0
        assert np.all(np.array(points) <= [1, 1, 2])
        assert result.x == pytest.approx([1, 1, 2], abs=1e-3)

    @pytest.mark.parametrize("cls", [TNC, LBFGSB, SLSQP])
    def test_a_variable_with_equal_bounds_stays_and_is_not_probed(self, cls):
        points = []

        def fun(x):
            points.append(x)
            return rosen(x)

        bounds = [(None, None), (0.5, 0.5), (None, None)]
        result = cls().minimize(fun, [0.0, 0.5, 0.0], bounds=bounds)
        assert {point[1] for point in points} == {0.5}
        assert result.x[1] == 0.5
        assert result.nfev == len(points)

    def test_all_variables_fixed_is_a_result_and_no_error(self):
        for cls in (TNC, LBFGSB, SLSQP, COBYLA, COBYQA, NELDER_MEAD, POWELL, TrustConstr):
            result = cls().minimize(rosen, [1.0, 2.0], bounds=[(1, 1), (2, 2)])
            assert result.success
            assert result.stop == StopReason.FIXED
            assert result.fun == rosen(np.array([1.0, 2.0]))

    def test_steps_may_differ_by_variable(self):
        steps = np.array([1e-3, 1e-5])
        points = []

        def fun(x):
            points.append(x)
            return rosen(x)

        LBFGSB(eps=steps, maxiter=1).minimize(fun, [0.0, 0.0])
        assert np.array_equal(points[1], [1e-3, 0])
        assert np.array_equal(points[2], [0, 1e-5])

    @pytest.mark.parametrize("jac", ["4-point", 3, "x"])
    def test_an_unknown_scheme_is_an_error(self, jac):
        with pytest.raises(InvalidInputError, match="3-point"):
            TNC().minimize(rosen, START, jac)


class TestOptions:
    def test_options_beat_defaults(self):
        assert TNC(options={"maxiter": 5}).settings["maxiter"] == 5

    def test_an_option_given_twice_must_agree(self):
        assert TNC(maxiter=5, options={"maxiter": 5}).settings["maxiter"] == 5
        with pytest.raises(OptionError, match="twice"):
            TNC(maxiter=7, options={"maxiter": 5})

    def test_the_callers_dict_is_neither_changed_nor_kept(self):
        options = {"maxiter": 5, "eta": 0.1}
        first, second = TNC(options=options), TNC(options=options)
        first.set_options(maxiter=9, eta=0.2)
        assert options == {"maxiter": 5, "eta": 0.1}
        assert second.settings["maxiter"] == 5

    @pytest.mark.parametrize(
        "make",
        [
            lambda: TNC(maxitre=5),
            lambda: TNC(options={"maxitre": 5}),
            lambda: TNC().set_options(maxitre=5),
            lambda: SciPyOptimizer("TNC", options={"maxitre": 5}),
            lambda: SciPyOptimizer("TNC", maxitre=5),
        ],
    )
    def test_an_unknown_option_names_the_nearest(self, make):
        with pytest.raises(UnknownOptionError, match="'maxiter'"):
            make()

    def test_a_failed_set_options_sets_nothing(self):
        optimizer = TNC()
        with pytest.raises(UnknownOptionError):
            optimizer.set_options(maxiter=3, nonsense=1)
        assert optimizer == TNC()

    def test_set_options_takes_effect_at_the_next_run(self):
        optimizer = LBFGSB()
        optimizer.set_options(maxiter=2)
        assert optimizer.minimize(rosen, START).nit == 2

    @pytest.mark.parametrize(
        "make",
        [
            lambda: TNC(bounds=[(0, 1)]),
            lambda: TNC(options={"bounds": [(0, 1)]}),
            lambda: SciPyOptimizer("TNC", bounds=[(0, 1)]),
            lambda: TNC().set_options(bounds=[(0, 1)]),
        ],
    )
    def test_misplaced_bounds_are_a_runtime_error_that_says_where_they_belong(self, make):
        with pytest.raises(MisplacedBoundsError, match="minimize") as caught:
            make()
        assert isinstance(caught.value, RuntimeError)

    @pytest.mark.parametrize("cls", of_values().values())
    def test_settings_rebuild_an_equal_object(self, cls):
        optimizer = cls(maxfun=77, timeout=5.0)
        limit = "niter" if "niter" in optimizer.settings else "maxiter"
        optimizer.set_options(**{limit: 12})
        assert cls(**optimizer.settings) == optimizer
        assert cls(**json.loads(json.dumps(optimizer.settings))) == optimizer
        assert optimizer != cls()

    def test_the_settings_of_the_generic_class_name_the_method(self):
        optimizer = SciPyOptimizer("BFGS", options={"gtol": 1e-3}, tol=1e-4)
        assert SciPyOptimizer(**optimizer.settings) == optimizer
        assert optimizer.settings["method"] == "bfgs"

    @pytest.mark.parametrize("cls", [COBYLA, LBFGSB, TNC])
    def test_the_callback_can_be_read_and_set(self, cls):
        optimizer, seen = cls(maxiter=30), []
        assert optimizer.callback is None
        optimizer.callback = seen.append
        assert optimizer.callback == optimizer.settings["callback"] == seen.append
        assert len(seen) == 0
        assert optimizer.minimize(rosen, START).nit == len(seen) > 0
        with pytest.raises(InvalidInputError, match="callback is 3"):
            optimizer.callback = 3
        assert optimizer.callback == seen.append
        optimizer.callback = None
        assert optimizer.callback is None
        assert optimizer == cls(maxiter=30)

    def test_changing_the_returned_settings_changes_nothing(self):
        optimizer = TNC(options={"scale": [1.0, 2.0]})
        optimizer.settings["options"]["scale"].append(3.0)
        assert optimizer == TNC(options={"scale": [1.0, 2.0]})

    def test_print_options_prints_them_sorted(self, capsys):
        TNC().print_options()
        lines = capsys.readouterr().out.splitlines()
        assert lines == sorted(lines)
        assert "maxiter = 100" in lines

    def test_setting_describes_the_object(self):
        text = TNC(maxiter=7).setting
        assert text.startswith("Optimizer: TNC\n")
        assert "-- maxiter: 7\n" in text

    def test_tol_stands_for_the_tolerances_that_are_not_given(self):
        fine, coarse = (LBFGSB(options={"gtol": 1e-12}), SciPyOptimizer("L-BFGS-B", tol=1.0))
        assert (
            coarse.minimize(rosen, START, rosen_der).nit
            < fine.minimize(rosen, START, rosen_der).nit
        )
        loose, strict = TNC(tol=1e-1), TNC(tol=1e-1, ftol=1e-15, xtol=1e-15, gtol=1e-15)
        assert (
            loose.minimize(rosen, START, rosen_der).nfev
            < strict.minimize(rosen, START, rosen_der).nfev
        )

    def test_constructors_are_qiskits(self):
        assert TNC().settings == {
            "maxiter": 100,
            "disp": False,
            "accuracy": 0,
            "ftol": -1,
            "xtol": -1,
            "gtol": -1,
            "eps": 1e-08,
            "max_evals_grouped": 1,
            "options": {},
        }
        assert LBFGSB().settings == {
            "maxfun": 15000,
            "maxiter": 15000,
            "ftol": 10 * np.finfo(float).eps,
            "iprint": -1,
            "eps": 1e-08,
            "max_evals_grouped": 1,
            "options": {},
        }
        assert L_BFGS_B is LBFGSB

    @pytest.mark.parametrize("limit", [0, -3, 1.5, "2", True])
    def test_groups_are_whole_and_positive(self, limit):
        with pytest.raises(OptionError, match="max_evals_grouped"):
            TNC(max_evals_grouped=limit)
        with pytest.raises(OptionError, match="max_evals_grouped"):
            TNC().set_max_evals_grouped(limit)

    @pytest.mark.parametrize(
        "options",
        [
            {"maxfun": 0},
            {"maxfun": 1.5},
            {"maxiter": -1},
            {"maxiter": "x"},
            {"ftol": "a"},
            {"eps": 0},
            {"eps": "x"},
            {"tol": "x"},
            {"tol": -1},
        ],
    )
    def test_a_value_that_cannot_be_used_is_refused_at_once(self, options):
        with pytest.raises(OptionError, match=next(iter(options))):
            LBFGSB(**options)
        if "tol" not in options:
            with pytest.raises(OptionError, match=next(iter(options))):
                LBFGSB().set_options(**options)

    def test_an_explicit_tol_is_scipys(self):
        expected = scipy.optimize.minimize(rosen, START, jac=rosen_der, method="L-BFGS-B", tol=1e-2)
        result = LBFGSB(tol=1e-2).minimize(rosen, START, rosen_der)
        assert np.array_equal(result.x, expected.x)
        assert result.nfev == expected.nfev

    def test_an_option_may_be_an_array_wherever_it_is_given(self):
        steps = np.array([1e-7, 1e-8])
        for optimizer in (
            LBFGSB(eps=steps),
            LBFGSB(options={"eps": steps}),
            LBFGSB(eps=steps, options={"eps": steps.tolist()}),
            SciPyOptimizer("L-BFGS-B", eps=steps),
            SciPyOptimizer("L-BFGS-B", options={"eps": steps}),
        ):
            assert type(optimizer)(**optimizer.settings) == optimizer
            assert optimizer.minimize(rosen, [-1.2, 1.0]).success
        with pytest.raises(OptionError, match="twice"):
            LBFGSB(eps=steps, options={"eps": 2 * steps})

    def test_options_share_no_array_with_the_caller(self):
        steps = np.array([1e-7, 1e-7])
        optimizer = LBFGSB()
        optimizer.set_options(eps=steps)
        steps[:] = 1.0
        optimizer.settings["eps"][:] = 2.0
        assert optimizer.settings["eps"].tolist() == [1e-7, 1e-7]

    def test_disp_prints_the_true_counts(self, capsys):
        result = LBFGSB(iprint=0).minimize(rosen, START)
        tnc = TNC(disp=True).minimize(rosen, START)
        printed = capsys.readouterr().out
        assert f"points {result.nfev}" in printed
        assert f"points evaluated: {tnc.nfev}" in printed

    def test_args_reach_every_function(self):
        optimizer = SciPyOptimizer("Newton-CG", args=(3.0,))
        result = optimizer.minimize(
            lambda x, a: float((x - a) @ (x - a)),
            [0.0, 1.0],
            lambda x, a: 2 * (x - a),
            hess=lambda x, a: 2 * np.eye(2),
        )
        assert result.x == pytest.approx([3, 3])


class TestInput:
    @pytest.mark.parametrize("x0", [2.0, 2, np.float32(2), np.array(2.0), [2], (2,)])
    def test_a_start_of_one_variable_may_be_a_number(self, x0):
        result = LBFGSB().minimize(lambda x: (x[0] - 1) ** 2, x0)
        assert result.x == pytest.approx([1.0], abs=1e-6)
        assert result.x.dtype == np.float64

    @pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float64])
    def test_any_real_dtype_of_x0_works_and_is_not_changed(self, dtype):
        x0 = np.array([-1, 2], dtype=dtype)
        result = LBFGSB().minimize(rosen, x0)
        assert x0.tolist() == [-1, 2]
        assert result.x == pytest.approx([1, 1], abs=1e-3)

    @pytest.mark.parametrize(
        "bounds",
        [
            [(0, None), (None, 0.5)],
            [(0.0, np.inf), (-np.inf, 0.5)],
            np.array([[0, np.inf], [-np.inf, 0.5]]),
            Bounds([0, -np.inf], [np.inf, 0.5]),
        ],
    )
    def test_bounds_in_all_forms(self, bounds):
        for cls in (TNC, LBFGSB, SLSQP, NELDER_MEAD, POWELL, COBYLA, COBYQA, TrustConstr):
            result = cls().minimize(
                lambda x: float((x[0] + 1) ** 2 + (x[1] - 1) ** 2), [0.1, 0.2], bounds=bounds
            )
            assert result.x[0] >= 0
            assert result.x[1] <= 0.5
            assert result.x == pytest.approx([0, 0.5], abs=1e-3)

    def test_crossed_bounds_name_the_index(self):
        with pytest.raises(InvalidInputError, match=r"bounds\[1\]"):
            TNC().minimize(rosen, [0.0, 0.0], bounds=[(0, 1), (2, 1)])

    def test_a_start_outside_is_clipped_and_said_so_where_the_user_is(self):
        with pytest.warns(OptimizerWarning, match="clipped") as caught:
            TNC().minimize(rosen, [5.0, 0.0], bounds=[(0, 1), (0, 1)])
        assert [warning.filename for warning in caught] == [__file__]

    @pytest.mark.parametrize("cls", [BFGS, CG])
    def test_ignored_bounds_are_one_warning(self, cls):
        with pytest.warns(OptimizerWarning, match="ignores bounds") as caught:
            cls().minimize(rosen, [0.1, 0.2], bounds=[(0, 1), (0, 1)])
        assert len(caught) == 1

    def test_a_missing_gradient_is_an_error_before_the_first_evaluation(self):
        with pytest.raises(CapabilityError, match="jac"):
            SciPyOptimizer("trust-ncg").minimize(pytest.fail, [0.0])

    def test_constraints_that_cannot_be_honored_are_an_error(self):
        with pytest.raises(CapabilityError, match="constraints"):
            TNC().minimize(pytest.fail, [0.0], constraints=LinearConstraint([[1]], 0, 1))

    def test_no_start_is_an_error(self):
        with pytest.raises(CapabilityError, match="x0"):
            TNC().minimize(pytest.fail, None)

    def test_an_unknown_method_names_the_nearest(self):
        with pytest.raises(InvalidInputError, match="'nelder-mead'"):
            SciPyOptimizer("nelder-maed")


class TestFixedVariables:
    @pytest.mark.parametrize(
        "cls",
        [
            cls
            for name, cls in of_values().items()
            # These would have sinusoids.
            if cls().bounds_support_level >= 2 and name not in ("ICANS", "NFT")
        ],
    )
    def test_some_variables_without_room(self, cls):
        seen = []
        needed = {"fidelity": fidelity} if cls.__name__ in ("QNG", "QNSPSA") else {}
        result = cls(**needed).minimize(
            lambda x: float((x - 3) @ (x - 3)),
            [1.0, 1.0, 1.0],
            bounds=[(None, 2), (1, 1), (0, 2)],
            callback=lambda xk: seen.append(xk.shape),
        )
        # TrustConstr's barrier keeps it inside, and by differences it stops a little early.
        assert result.x == pytest.approx([2, 1, 2], abs=5e-3)
        assert set(seen) <= {(3,)}

    @pytest.mark.parametrize("cls", [SLSQP, COBYLA, COBYQA, TrustConstr])
    def test_and_a_constraint(self, cls):
        result = cls().minimize(
            lambda x: float((x - 3) @ (x - 3)),
            [0.5, 1.0, 0.5],
            bounds=[(None, 2), (1, 1), (0, 2)],
            constraints=LinearConstraint([[1, 1, 1]], -np.inf, 3),
        )
        assert result.x == pytest.approx([1, 1, 1], abs=1e-3)


class TestConstraints:
    @pytest.mark.parametrize("cls", [SLSQP, COBYLA, COBYQA, TrustConstr])
    @pytest.mark.parametrize(
        "constraint",
        [
            {"type": "ineq", "fun": lambda x: 0.5 - x @ x},
            LinearConstraint([[1, 1]], -np.inf, 1),
            NonlinearConstraint(lambda x: x @ x, -np.inf, 0.5),
        ],
    )
    def test_the_nearest_feasible_point(self, cls, constraint):
        result = cls().minimize(
            lambda x: float((x[0] - 1) ** 2 + (x[1] - 1) ** 2), [0.0, 0.0], constraints=constraint
        )
        assert result.x == pytest.approx([0.5, 0.5], abs=1e-3)
        assert result.success

    def test_a_stopped_run_returns_a_feasible_point(self):
        # The start is the minimum of the objective, and infeasible.
        result = SLSQP().minimize(
            lambda x: float(x @ x),
            [0.0, 0.0],
            constraints={"type": "ineq", "fun": lambda x: x[0] - 1},
            maxfun=20,
            callback=lambda xk: xk[0] > 0.999,
        )
        assert result.stop == StopReason.CALLBACK
        assert result.x[0] >= 1 - 1e-6

    def test_constraint_functions_get_copies(self):
        def spoil(x):
            value = 0.5 - x @ x
            x[:] = np.nan
            return value

        for cls in (SLSQP, COBYLA, COBYQA, TrustConstr):
            result = cls().minimize(
                lambda x: float((x - 1) @ (x - 1)),
                [0.0, 0.0],
                constraints={"type": "ineq", "fun": spoil},
            )
            assert result.x == pytest.approx([0.5, 0.5], abs=1e-3)


class TestFailures:
    @pytest.mark.parametrize("raw", [None, 1j, "1", [1.0, 2.0], np.zeros(3), object()])
    @pytest.mark.parametrize("on_failure", ["raise", "reject"])
    def test_what_is_no_number_is_a_bug_and_no_bad_point(self, raw, on_failure):
        with pytest.raises(InvalidValueError, match="expected"):
            LBFGSB().minimize(lambda x: raw, START, on_failure=on_failure)

    @pytest.mark.parametrize("raw", [None, 1j, [1.0, 2.0], np.zeros((6, 2))])
    def test_a_gradient_of_the_wrong_kind_is_an_error(self, raw):
        with pytest.raises(InvalidValueError, match="jac returned"):
            LBFGSB().minimize(rosen, START, lambda x: raw)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize(
        "cls", [TNC, LBFGSB, BFGS, CG, SLSQP, NELDER_MEAD, COBYLA, COBYQA, POWELL]
    )
    def test_a_domain_that_ends_is_stepped_back_from(self, cls, bad):
        def fun(x):  # minimum 1 at x = 1; a full step from the start leaves the domain
            return float(np.sum(x - np.log(x)) / 2) if np.all(x > 0) else bad

        result = cls().minimize(fun, [6.0, 9.0], on_failure="reject")
        assert result.x == pytest.approx([1, 1], abs=1e-2)
        assert math.isfinite(result.fun)

    @pytest.mark.parametrize("cls", [TNC, LBFGSB, BFGS, SLSQP])
    def test_a_gradient_that_fails_is_stepped_back_from(self, cls):
        def jac(x):
            return 1 - 1 / x if np.all(x > 0.2) else np.full(2, np.nan)

        result = cls().minimize(
            lambda x: float(np.sum(x - np.log(np.maximum(x, 0.1)))),
            [6.0, 9.0],
            jac,
            on_failure="reject",
        )
        assert result.x == pytest.approx([1, 1], abs=1e-2)
        assert np.all(result.best.x > 0.2)

    def test_a_start_that_fails_leaves_nothing_to_step_back_to(self):
        with pytest.raises(NonFiniteValueError):
            LBFGSB().minimize(lambda x: math.nan, START, on_failure="reject")

    def test_an_error_keeps_what_was_paid_for(self):
        def fun(x):
            fun.calls += 1
            if fun.calls == 10:
                raise RuntimeError("the queue is gone")
            return rosen(x)

        fun.calls = 0
        with pytest.raises(RuntimeError, match="the queue is gone") as caught:
            LBFGSB().minimize(fun, START)
        result = caught.value.optimizer_result
        assert result.nfev == 10
        assert result.stop == StopReason.FAILED
        assert result.fun == rosen(result.x)

    def test_an_error_in_a_callback_keeps_the_result_too(self):
        def callback(xk):
            raise RuntimeError("no disk")

        with pytest.raises(RuntimeError) as caught:
            TNC().minimize(rosen, START, callback=callback)
        assert caught.value.optimizer_result.nit == 1

    def test_a_minimisation_inside_an_objective(self):
        def outer(x):
            return LBFGSB().minimize(lambda y: (y[0] - x[0]) ** 2 + x[0] ** 2, [1.0]).fun

        assert TNC().minimize(outer, [3.0]).x == pytest.approx([0.0], abs=1e-3)

    def test_the_inner_runs_budget_does_not_stop_the_outer_run(self):
        def outer(x):
            return LBFGSB().minimize(lambda y: rosen(y) + x[0] ** 2, START, maxfun=30).fun

        assert NELDER_MEAD(maxfev=80).minimize(outer, [3.0]).success


class TestSubclasses:
    def test_a_subclass_may_override_minimize_alone(self):
        class Fixed(Optimizer):
            def get_support_level(self):
                return dict.fromkeys(
                    ("gradient", "bounds", "initial_point"), SupportLevel.supported
                )

            def minimize(self, fun, x0, jac=None, bounds=None):
                return LBFGSB().minimize(fun, x0, jac, bounds)

        assert Fixed()(rosen, START, rosen_der).success
        assert Fixed() == Fixed()

    def test_a_subclass_in_qiskits_manner(self):
        class Mine(SciPyOptimizer):
            _OPTIONS = ("maxiter",)

            def __init__(self, maxiter=3, options=None, **kwargs):
                options = {} if options is None else options
                options["maxiter"] = maxiter
                super().__init__("L-BFGS-B", options=options, **kwargs)

        assert Mine().minimize(rosen, START).nit == 3
        assert Mine(**Mine(maxiter=5).settings) == Mine(maxiter=5)

    def test_a_callable_method_gets_scipys_arguments(self):
        def method(fun, x0, args=(), jac=None, bounds=None, callback=None, scale=1.0, **unknown):
            assert callable(jac)
            assert scale == 2.0
            callback(x0)
            return OptimizeResult(x=x0, fun=fun(x0), success=True, message="done", status=0)

        from scipy.optimize import OptimizeResult

        optimizer = SciPyOptimizer(method, options={"scale": 2.0})
        result = optimizer.minimize(rosen, START)
        assert result.fun == rosen(np.array(START))
        assert result.nit == 1

    def test_nothing_implemented_is_said(self):
        class Empty(Optimizer):
            def get_support_level(self):
                return {"initial_point": SupportLevel.required}

        with pytest.raises(TypeError, match="overrides neither"):
            Empty().minimize(Bowl(), [0.0])


def test_no_deprecated_name_of_scipy_is_used():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cls in (TNC, LBFGSB, SLSQP, COBYLA, COBYQA, NELDER_MEAD, POWELL, BFGS, CG, TrustConstr):
            assert cls().minimize(Bowl(), [0.0, 0.0, 0.0]).nfev > 1


@pytest.mark.parametrize("cls", [LBFGSB, SPSA, TNC, LM])
def test_settings_of_a_run_may_be_set_as_options_are(cls):
    optimizer = cls()
    optimizer.set_options(seed=1, patience=7)
    assert (optimizer.settings["seed"], optimizer.settings["patience"]) == (1, 7)
    with pytest.raises(OptionError, match="timeout is -1"):
        optimizer.set_options(timeout=-1, seed=2)
    assert optimizer.settings["seed"] == 1
