import pickle

import numpy as np
import pytest

from optimizers.problems import mgh_problems, more_wild_problems, nist_fits

#: Twice the value at the start, as Moré and Wild's code prints it.
STARTS = {
    "linear_full_rank_9": 72,
    "linear_full_rank_9_far": 1125,
    "linear_rank_1_7": 1.165420e7,
    "linear_rank_1_7_far": 1.168591e9,
    "linear_rank_1_zeros_7": 4.989195e6,
    "linear_rank_1_zeros_7_far": 5.009356e8,
    "rosenbrock_2": 24.2,
    "rosenbrock_2_far": 1.795769e6,
    "helical_valley_3": 2500,
    "helical_valley_3_far": 10600,
    "powell_singular_4": 215,
    "powell_singular_4_far": 1.615400e6,
    "freudenstein_roth_2": 400.5,
    "freudenstein_roth_2_far": 1.545754e8,
    "bard_3": 41.68170,
    "bard_3_far": 1306.234,
    "kowalik_osborne_4": 5.313172e-3,
    "meyer_3": 1.693608e9,
    "watson_6": 16.43083,
    "watson_6_far": 2.323367e6,
    "watson_9": 26.90417,
    "watson_9_far": 8.158877e6,
    "watson_12": 73.67821,
    "watson_12_far": 2.059384e7,
    "box_3d_3": 1031.154,
    "jennrich_sampson_2": 4171.306,
    "brown_dennis_4": 7.926693e6,
    "brown_dennis_4_far": 3.081064e11,
    "chebyquad_6": 4.642817e-2,
    "chebyquad_7": 3.377064e-2,
    "chebyquad_8": 3.861770e-2,
    "chebyquad_9": 2.888298e-2,
    "chebyquad_10": 3.376327e-2,
    "chebyquad_11": 2.674060e-2,
    "brown_almost_linear_10": 273.2480,
    "osborne_1_5": 16.17411,
    "osborne_2_11": 2.093420,
    "osborne_2_11_far": 199.6847,
    "bdqrtic_8": 904,
    "bdqrtic_10": 1356,
    "bdqrtic_11": 1582,
    "bdqrtic_12": 1808,
    "cube_5": 56.5,
    "cube_6": 70.5625,
    "cube_8": 98.6875,
    "mancino_5": 2.539084e9,
    "mancino_5_far": 6.873795e12,
    "mancino_8": 3.367961e9,
    "mancino_10": 3.735127e9,
    "mancino_12": 3.991072e9,
    "mancino_12_far": 1.130015e13,
    "heart_eight_8": 9.385672,
    "heart_eight_8_far": 3.365815e10,
}


def test_the_set_of_more_and_wild_is_complete():
    assert [problem.name for problem in more_wild_problems()] == list(STARTS)


@pytest.mark.parametrize("problem", more_wild_problems(), ids=lambda problem: problem.name)
def test_a_problem_of_more_and_wild_is_the_published_one(problem):
    assert problem.fun(problem.x0) == pytest.approx(STARTS[problem.name], rel=1e-5)
    assert pickle.loads(pickle.dumps(problem)) == problem
    x = problem.x0 * (1 + 0.1 * np.random.default_rng(1).random(problem.n))
    steps = np.diag(1e-5 * np.maximum(np.abs(x), 1e-2))
    r = problem.objective.residuals
    columns = [(r(x + h) - r(x - h)) / (2 * h.sum()) for h in steps]
    jacobian = problem.objective.jacobian(x)
    np.testing.assert_allclose(
        jacobian, np.array(columns).T, rtol=1e-6, atol=1e-7 * np.abs(jacobian).max()
    )


@pytest.mark.parametrize("fit", nist_fits(), ids=lambda fit: fit.name)
def test_a_fit_of_nist_has_the_certified_residuals_and_deviations(fit):
    b = np.array(fit.certified)
    rss = np.sum(fit.residuals(b) ** 2)
    # The 11 digits of Lanczos1's parameters are not enough for a residual of 1e-25.
    assert rss == pytest.approx(fit.rss, rel=1e-8, abs=1e-19)
    steps = np.diag(1e-6 * b)
    jacobian = np.array(
        [(fit.residuals(b + h) - fit.residuals(b - h)) / (2 * h.sum()) for h in steps]
    )
    scale = np.sqrt(np.sum(jacobian**2, axis=1))
    inverse = np.linalg.inv(jacobian @ jacobian.T / np.outer(scale, scale))
    deviations = np.sqrt(np.diag(inverse) * fit.rss / (fit.y.size - fit.n)) / scale
    np.testing.assert_allclose(deviations, fit.deviations, rtol=1e-3)
    assert fit.digits(b) == 11.0
    assert fit.digits(b * (1 + 1e-6)) == pytest.approx(6.0)
    assert fit.digits(np.full(fit.n, np.nan)) == 0.0
    assert all(len(start) == fit.n for start in fit.starts)


def test_other_problems_keep_their_names():
    assert not {p.name for p in mgh_problems()} & set(STARTS)
