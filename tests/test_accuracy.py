"""Every class on every bundled problem that its capabilities admit."""

import warnings

import numpy as np
import pytest
import scipy

from optimizers import Optimizer
from optimizers.problems import ReferenceProblem, all_problems
from tests.making import makes_seeded, of_values

# The largest accepted (f - f*) / (1 + |f*|): f* is known to some six digits, and classes without
# gradients stop at 1e-4 in x. Local minima that the literature names count as solved.
ACCURACY = {"COBYLA": 1e-2, "NELDER_MEAD": 1e-3, "POWELL": 1e-3, "SLSQP": 1e-3, "TNC": 1e-3}
DEFAULT_ACCURACY = 1e-4
BUDGET = {
    **{"BasinHopping": 600, "CMAES": 3000, "COBYLA": 800, "COBYQA": 600},
    **{"DFOTR": 1000, "WaveNewton": 1500},
}
DEFAULT_BUDGET = 3000

# These are slow, in Python: a few problems of each kind do for them.
FEW = {
    *("rosenbrock", "powell_badly_scaled", "beale", "helical_valley", "gaussian", "brown_dennis"),
    *("kowalik_osborne", "linear_full_rank", "hs2", "hs4", "hs5", "hs45"),
    *("beale_bounded", "helical_valley_bounded"),
}

# What SciPy's algorithm with these options does not solve from the standard start within the
# budget: there the run must only descend and say the truth of where it ended.
UNSOLVED = {
    "CG": """
        meyer variably_dimensioned
    """,
    "COBYLA": """
        rosenbrock powell_badly_scaled helical_valley
    """,
    "COBYQA": """
        powell_badly_scaled
    """,
    "DFOTR": """
        powell_badly_scaled
    """,
    "Dogleg": """
        powell_badly_scaled brown_badly_scaled beale helical_valley wood meyer gulf box_3d
        kowalik_osborne osborne_1 biggs_exp6 osborne_2 trigonometric brown_almost_linear
        linear_rank_1 linear_rank_1_zeros chebyquad
    """,
    "ImFil": """
        brown_badly_scaled wood meyer watson extended_rosenbrock hs25 osborne_1 hs38 gulf
        biggs_exp6
        powell_badly_scaled_bounded helical_valley_bounded wood_bounded
    """,
    "LBFGSB": """
        meyer hs25
    """,
    "NELDER_MEAD": """
        meyer box_3d osborne_2 watson extended_rosenbrock extended_powell_singular
        variably_dimensioned brown_almost_linear linear_full_rank hs25
        powell_badly_scaled_bounded helical_valley_bounded wood_bounded
    """,
    "NoisyLBFGSB": """
        meyer hs25
    """,
    "NewtonCG": """
        powell_badly_scaled meyer gulf osborne_1
    """,
    "POWELL": """
        meyer box_3d osborne_2 watson extended_rosenbrock extended_powell_singular
        variably_dimensioned trigonometric brown_almost_linear chebyquad hs25
        brown_badly_scaled_bounded beale_bounded helical_valley_bounded wood_bounded
        brown_dennis_bounded biggs_exp6_bounded
    """,
    "P_BFGS": """
        meyer
    """,
    "ProjectedNewton": """
        hs25
    """,
    "SLSQP": """
        brown_badly_scaled jennrich_sampson wood meyer broyden_banded hs25
        brown_badly_scaled_bounded biggs_exp6_bounded
    """,
    "TNC": """
        powell_badly_scaled brown_badly_scaled meyer broyden_banded hs25
        powell_badly_scaled_bounded brown_badly_scaled_bounded wood_bounded
    """,
    "TrustConstr": """
        meyer osborne_1 hs3
    """,
    "TrustExact": """
        brown_badly_scaled
    """,
    "TrustKrylov": """
        brown_badly_scaled meyer
    """,
    "TrustNCG": """
        brown_badly_scaled meyer
    """,
    "WaveNewton": """
        powell_badly_scaled
    """,
}


# Solved since these two were written anew for SciPy 1.16.
IS_OLD = scipy.__version__.startswith("1.15.")
UNSOLVED_BEFORE = {"COBYLA": "helical_valley_bounded", "SLSQP": "brown_dennis_bounded"}


def solved_gap(problem: ReferenceProblem, fun: float) -> float:
    minima = [problem.minimum, *problem.other_minima]
    return min(max(fun - f, 0.0) / (1 + abs(f)) if f == minima[0] else abs(fun - f) for f in minima)


def hessian(problem: ReferenceProblem):
    def hess(x):
        steps = np.diag(1e-5 * np.maximum(1, np.abs(x)))
        rows = [(problem.jac(x + h) - problem.jac(x - h)) / (2 * h.sum()) for h in steps]
        return (np.array(rows) + np.array(rows).T) / 2

    return hess


def solve(cls: type[Optimizer], problem: ReferenceProblem):
    optimizer = cls(seed=5) if makes_seeded(cls) else cls()
    if cls.__name__ in ("CG", "TNC", "SLSQP"):
        optimizer.set_options(maxiter=1000)  # their defaults are meant for circuits
    if cls.__name__ == "POWELL":
        optimizer.set_options(maxfev=DEFAULT_BUDGET)  # likewise
    takes = {w: optimizer.get_support_level().get(w, 0) >= 2 for w in ("gradient", "hessian")}
    with warnings.catch_warnings():
        # The problems overflow far from their minima, which is what "reject" is for.
        warnings.simplefilter("ignore", RuntimeWarning)
        return optimizer.minimize(
            problem.fun,
            problem.x0,
            problem.jac if takes["gradient"] else None,
            problem.bounds,
            hess=hessian(problem) if takes["hessian"] else None,
            maxfun=BUDGET.get(cls.__name__, DEFAULT_BUDGET),
            on_failure="reject",
        )


LIKE_LBFGSB = ("NoisyLBFGSB", "P_BFGS")
CASES = [
    pytest.param(cls, problem, id=f"{name}-{problem.name}")
    for name, cls in of_values().items()
    # The others of the variational family have problems of their own.
    if not cls.__module__.startswith("optimizers.variational") or name in LIKE_LBFGSB
    for problem in all_problems()
    if problem.bounds is None or cls().bounds_support_level >= 2
    if name not in BUDGET or problem.name in FEW
]


@pytest.mark.parametrize(("cls", "problem"), CASES)
def test_accuracy(cls: type[Optimizer], problem: ReferenceProblem) -> None:
    result = solve(cls, problem)
    assert result.fun == problem.fun(result.x)
    assert result.fun <= problem.fun(problem.x0)
    assert result.nfev <= BUDGET.get(cls.__name__, DEFAULT_BUDGET)
    unsolved = UNSOLVED.get(cls.__name__, "").split()
    if IS_OLD and cls.__name__ in UNSOLVED_BEFORE:
        unsolved.append(UNSOLVED_BEFORE[cls.__name__])
    if problem.name not in unsolved:
        accuracy = ACCURACY.get(cls.__name__, DEFAULT_ACCURACY)
        assert solved_gap(problem, result.fun) <= accuracy
