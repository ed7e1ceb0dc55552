import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import BFGS, LinearConstraint, NonlinearConstraint, minimize

import optimizers
from optimizers import (
    SLSQP,
    InvalidInputError,
    Optimizer,
    SciPyOptimizer,
    StopReason,
    SupportLevel,
    TrustConstr,
)
from optimizers.flow import Outcome
from optimizers.problem.constraints import as_constraints

X = np.array([1.0, 2.0])


def distance(x):
    return float((x[0] - 2) ** 2 + (x[1] - 2) ** 2)


def test_a_dict_is_measured_by_its_type():
    equal, above = as_constraints(
        [
            {"type": "eq", "fun": lambda x: x[0] - 3},
            {"type": "ineq", "fun": lambda x: [x[0], x[1] - 5]},
        ],
        2,
    )
    assert equal.violation(X) == 2.0
    assert equal.violation(np.array([5.0, 0.0])) == 2.0
    assert equal.violation(np.array([3.0, 0.0])) == 0.0
    assert above.violation(X) == 3.0
    assert above.violation(np.array([0.0, 5.0])) == 0.0
    assert above.violation(np.array([-7.0, 5.0])) == 7.0


def test_a_dicts_args_are_passed_on():
    (one,) = as_constraints(
        {"type": "ineq", "fun": lambda x, a, b: x[0] - a * b, "args": (2, 3)}, 2
    )
    assert one.violation(X) == 5.0


@pytest.mark.parametrize("matrix", [np.eye(2), sparse.csr_array(np.eye(2)), [[1, 0], [0, 1]]])
def test_linear_constraints_are_measured_on_both_sides(matrix):
    (one,) = as_constraints(LinearConstraint(matrix, [0, 3], [0.5, np.inf]), 2)
    assert one.violation(X) == 1.0
    assert one.violation(np.array([-4.0, 3.0])) == 4.0
    assert one.violation(np.array([0.25, 9.0])) == 0.0


def test_nonlinear_constraints_are_measured_on_both_sides():
    (one,) = as_constraints(NonlinearConstraint(lambda x: x @ x, 1, 4), 2)
    assert one.violation(X) == 1.0
    assert one.violation(np.zeros(2)) == 1.0
    assert one.violation(np.array([1.0, 1.0])) == 0.0


def test_a_single_constraint_a_list_and_a_tuple_are_the_same():
    one = {"type": "eq", "fun": lambda x: x[0]}
    for given in (one, [one], (one,)):
        (found,) = as_constraints(given, 2)
        assert found.violation(X) == 1.0
    assert as_constraints([], 2) == ()


def spoiling(x):
    value = float(x @ x) - 2.0
    x[:] = 99.0
    return value


@pytest.mark.parametrize(
    "constraint",
    [{"type": "eq", "fun": spoiling}, NonlinearConstraint(spoiling, 0, 0)],
    ids=["dict", "NonlinearConstraint"],
)
def test_a_constraint_that_spoils_its_argument_spoils_nothing(constraint):
    x = X.copy()
    (one,) = as_constraints(constraint, 2)
    assert one.violation(x) == 3.0
    np.testing.assert_array_equal(x, X)
    result = SLSQP().minimize(distance, [1.0, 0.5], constraints=constraint)
    np.testing.assert_allclose(result.x, [1.0, 1.0], atol=1e-5)


def test_a_gradient_of_a_constraint_may_spoil_its_argument_too():
    def gradient(x):
        answer = 2 * x
        x[:] = 99.0
        return answer

    constraint = {"type": "eq", "fun": lambda x: x @ x - 2.0, "jac": gradient}
    result = SLSQP().minimize(distance, [1.0, 0.5], constraints=constraint)
    np.testing.assert_allclose(result.x, [1.0, 1.0], atol=1e-5)


def test_what_was_given_is_not_changed():
    one = {"type": "eq", "fun": spoiling, "args": ()}
    before = dict(one)
    many = [one]
    as_constraints(many, 2)
    assert one == before
    assert many == [one]


def test_a_hessian_strategy_is_not_shared_between_runs():
    constraint = NonlinearConstraint(lambda x: x @ x, 0, 2, hess=BFGS())
    first = TrustConstr().minimize(distance, [1.0, 0.5], constraints=constraint)
    second = TrustConstr().minimize(distance, [1.0, 0.5], constraints=constraint)
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_allclose(first.x, [1.0, 1.0], atol=1e-4)


def test_scipy_finds_the_same_point_with_the_guarded_constraints():
    constraints = [
        {"type": "ineq", "fun": lambda x, r: r - x @ x, "args": (2.0,)},
        {"type": "ineq", "fun": lambda x: x[0] - 1.2, "jac": lambda x: np.array([1.0, 0.0])},
    ]
    ours = [constraint.for_scipy for constraint in as_constraints(constraints, 2)]
    left = minimize(distance, [1.3, 0.0], method="SLSQP", constraints=constraints)
    right = minimize(distance, [1.3, 0.0], method="SLSQP", constraints=ours)
    np.testing.assert_array_equal(left.x, right.x)
    assert left.nfev == right.nfev


@pytest.mark.parametrize(
    "constraint",
    [
        {"type": "ge", "fun": abs},
        {"fun": abs},
        {"type": "eq"},
        {"type": "eq", "fun": 3},
        abs,
        3.0,
        "x > 0",
    ],
    ids=str,
)
def test_what_is_no_constraint_is_an_error_before_the_first_evaluation(constraint):
    with pytest.raises(InvalidInputError, match=r"expected scipy\.optimize\.LinearConstraint"):
        as_constraints([constraint], 1)
    calls = []
    with pytest.raises(InvalidInputError):
        SLSQP().minimize(calls.append, [1.0], constraints=[constraint])
    assert calls == []


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "COBYLA", "COBYQA"])
@pytest.mark.parametrize("error", [RuntimeError("no licence"), KeyboardInterrupt()])
def test_the_first_error_of_a_constraint_is_the_one_that_is_raised(method, error):
    calls = 0

    def constraint(x):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise error
        if calls > 4:
            raise ValueError("a later one")
        return x[0] - 1.5

    optimizer = SciPyOptimizer(method)
    with pytest.raises(type(error)) as caught:
        optimizer.minimize(
            lambda x: float((x**4).sum()),
            [1.0, 2.0],
            jac=(lambda x: 4 * x**3) if method in ("SLSQP", "trust-constr") else None,
            constraints=[{"type": "ineq", "fun": constraint}],
        )
    assert caught.value is error
    assert np.isnan(error.optimizer_result.maxcv)
    assert "'optimizer_result'" in error.__notes__[-1]


def test_an_interrupt_returns_a_result_though_a_constraint_fails():
    calls = 0

    def constraint(x):
        nonlocal calls
        calls += 1
        if calls >= 4:
            raise KeyboardInterrupt if calls == 4 else ValueError("a later one")
        return x[0] - 1.5

    given = {"constraints": {"type": "ineq", "fun": constraint}, "on_interrupt": "return"}
    result = SLSQP().minimize(distance, [1.0, 2.0], **given)
    assert result.stop is StopReason.INTERRUPTED
    assert np.isnan(result.maxcv)


METHODS = ["SLSQP", "trust-constr", "COBYLA", "COBYQA"]
#: Constraints that cannot be met, and bounds.
INFEASIBLE = {
    "all fixed": (LinearConstraint([[1, 1]], 5, np.inf), [(1, 1)] * 2),
    "all fixed, nonlinear": (NonlinearConstraint(lambda x: x @ x, 4, 4), [(1, 1)] * 2),
    "one fixed": ({"type": "ineq", "fun": lambda x: x.sum() - 5}, [(1, 1), (0, 1)]),
    "too narrow": ({"type": "ineq", "fun": lambda x: x.sum() - 5}, [(0, 1)] * 2),
    "contradictory": ([{"type": "eq", "fun": lambda x, a=a: x[0] - a} for a in (5, -5)], None),
    "never met": (NonlinearConstraint(lambda x: x @ x, -np.inf, -1), None),
}


@pytest.mark.filterwarnings("ignore:delta_grad", "ignore:Singular Jacobian")  # SciPy's
@pytest.mark.parametrize("case", INFEASIBLE)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("settings", [{}, {"on_failure": "reject"}], ids=str)
def test_no_end_that_fails_a_constraint_is_a_success(method, case, settings):
    constraints, bounds = INFEASIBLE[case]
    given = {"constraints": constraints, "bounds": bounds, **settings}
    optimizer = SciPyOptimizer(method, options={"maxiter": 100})
    result = optimizer.minimize(distance, [1.0, 1.0], **given)
    assert result.maxcv > 0.4
    assert not result.success
    assert result.stop in (StopReason.INFEASIBLE, StopReason.NO_PROGRESS) or result.stop.is_budget


@pytest.mark.parametrize("method", METHODS)
def test_fixed_variables_that_meet_the_constraints_are_a_success(method):
    given = {"constraints": LinearConstraint([[1, 1]], 2, 2), "bounds": [(1, 1)] * 2}
    result = SciPyOptimizer(method).minimize(distance, [1.0, 1.0], **given)
    assert result.success
    assert result.stop is StopReason.FIXED


def claims(run):
    return Outcome(run.problem.x0, True, 0, "Done.", StopReason.CONVERGED)


class Claiming(Optimizer):
    """Ends at once, with a success whatever the constraints."""

    support_levels = dict.fromkeys(("constraints", "initial_point"), SupportLevel.supported)
    _solve = staticmethod(claims)


def custom(fun, x0, args=(), **options):
    result = minimize(fun, x0, method="Nelder-Mead")
    assert result.success
    return result


@pytest.mark.parametrize("optimizer", [Claiming(), SciPyOptimizer(custom)], ids=["own", "custom"])
def test_what_an_algorithm_claims_of_constraints_is_checked(optimizer):
    one = {"type": "ineq", "fun": lambda x: x[0] - 3}
    result = optimizer.minimize(distance, [2.5, 2.5], constraints=one)
    assert not result.success
    assert result.stop is StopReason.INFEASIBLE
    assert "A constraint is violated by" in result.message


@pytest.mark.parametrize(
    ("method", "options"),
    [("SLSQP", {"ftol": 1e-2}), ("trust-constr", {"gtol": 0.1}), ("COBYLA", {"catol": 0.1})],
)
def test_a_tolerance_that_is_given_for_constraints_holds(method, options):
    one = {"type": "ineq", "fun": lambda x: -1e-3 - (x[0] - 0.5) ** 2}
    result = SciPyOptimizer(method, options=options).minimize(distance, [0.3, 0.4], constraints=one)
    assert result.maxcv > 5e-4
    assert result.success


@pytest.mark.filterwarnings("ignore:delta_grad:UserWarning")
@pytest.mark.parametrize("name", ["SLSQP", "TrustConstr"])
@pytest.mark.parametrize("form", ["dict", "NonlinearConstraint"])
def test_a_constraint_that_is_nan_is_named(name, form):
    def total(x):
        return np.nan if x[0] > 0.2 else x.sum()

    def other(x):
        return 5 - x[0]

    both = [
        {"type": "ineq", "fun": fun} if form == "dict" else NonlinearConstraint(fun, 0, 9)
        for fun in (other, total)
    ]
    try:
        told = str(
            getattr(optimizers, name)()
            .minimize(lambda x: float(((x - 1) ** 2).sum()), [0.0, 0.1], constraints=both)
            .message
        )
    except optimizers.InvalidInputError as error:
        told = str(error)
    assert "total returned nan at x = [" in told


def test_limits_of_no_components_are_named_before_the_first_evaluation():
    def never(x):
        raise AssertionError("evaluated")

    with pytest.raises(optimizers.InvalidInputError, match=r"lb, ub .* are \(\), 9"):
        optimizers.SLSQP().minimize(never, [0.0], constraints=NonlinearConstraint(never, (), 9))
