"""What DFOTR is made of, held against linear algebra and searches by brute force."""

import numpy as np
import pytest

from optimizers.problem.problem import Problem
from optimizers.search.dfotr.geometry import (
    cross,
    first_of_known,
    improving,
    informative,
    turned_cross,
)
from optimizers.search.dfotr.interpolation import Interpolation
from optimizers.search.dfotr.noise import Noise
from optimizers.search.dfotr.sample import Sample
from optimizers.search.space import Space
from optimizers.search.subproblem import Quadratic, within_ball, within_box
from optimizers.support import SupportLevel, levels


def space_of(x0, bounds=None, radius=0.1):
    needs = levels(gradient=SupportLevel.ignored)
    return Space(Problem.check("any", needs, len, x0, bounds=bounds), radius)


def quadratic(rng, n):
    half = rng.normal(size=(n, n))
    return Quadratic(rng.normal(size=n), half + half.T)


@pytest.mark.parametrize("seed", range(20))
def test_the_step_in_a_ball_meets_the_conditions_of_a_minimum(seed):
    rng = np.random.default_rng(seed)
    model, radius = quadratic(rng, 4), 10.0 ** rng.uniform(-3, 2)
    step = within_ball(model, radius)
    assert np.linalg.norm(step) <= radius * (1 + 1e-12)
    # Somewhere between the curvatures there is a damping for which the step is Newton's.
    pull = -(model.gradient + model.hessian @ step)
    damping = float(pull @ step / (step @ step))
    assert pull == pytest.approx(damping * step, abs=1e-4 * np.linalg.norm(model.gradient))
    assert damping >= -1e-6
    assert np.linalg.eigvalsh(model.hessian)[0] + damping >= -1e-6
    assert damping <= 1e-6 or np.linalg.norm(step) == pytest.approx(radius, rel=1e-5)


def test_a_step_leaves_a_saddle_point_and_the_hard_case():
    saddle = Quadratic(np.zeros(2), np.diag([-2.0, 1.0]))
    assert abs(within_ball(saddle, 3.0)[0]) == pytest.approx(3.0)
    hard = Quadratic(np.array([0.0, 1.0]), np.diag([-2.0, 1.0]))
    # By the conditions: damping 2, so 1/3 down the second axis, and the rest along the first.
    step = within_ball(hard, 1.0)
    assert step[1] == pytest.approx(-1 / 3)
    assert abs(step[0]) == pytest.approx(8**0.5 / 3)


def test_the_step_in_a_box_is_about_as_good_as_the_best_of_many():
    parts, of_convex = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        model = quadratic(rng, 3)
        low, high = -rng.uniform(0, 1, 3) * (rng.random(3) < 0.7), rng.uniform(0, 1, 3)
        tried = rng.uniform(low, high, (3000, 3)) * rng.random((3000, 1))
        tried = tried[np.linalg.norm(tried, axis=1) <= 1]
        convex = Quadratic(model.gradient, model.hessian @ model.hessian)
        for function, found in ((model, parts), (convex, of_convex)):
            step = within_box(function, 1.0, low, high)
            assert ((low <= step) & (step <= high)).all()
            assert np.linalg.norm(step) <= 1 + 1e-9
            least = min(map(function, tried))
            assert function(step) <= 0.0
            if least < 0.0:
                found.append(function(step) / least)
    assert min(of_convex) > 0.95
    # The least of all is too much to ask for: there may be a minimum in each corner.
    assert np.mean(parts) > 0.95
    assert min(parts) > 0.2


def test_a_full_set_of_points_gives_the_quadratic_itself():
    rng = np.random.default_rng(1)
    points = 1e3 + 1e-2 * rng.normal(size=(15, 4))
    true = quadratic(rng, 4)
    values = np.array([true(point - points[3]) for point in points])
    found = Interpolation(points, points[0], 1e-2).quadratic(values, points[3])
    assert found.gradient == pytest.approx(true.gradient, rel=1e-5)
    assert found.hessian == pytest.approx(true.hessian, abs=1e-3)


def test_few_points_give_the_least_hessian():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    found = Interpolation(points, points[0], 1.0).quadratic(points[:, 0] ** 2, points[0])
    assert found.gradient == pytest.approx([0.0, 0.0], abs=1e-9)
    assert found.hessian == pytest.approx(np.diag([2.0, 0.0]), abs=1e-9)


def test_lagrange_functions_are_one_at_their_point_and_zero_at_the_others():
    points = np.random.default_rng(2).normal(size=(8, 3))
    inverse = Interpolation(points, points[1], 0.7)
    for row in range(8):
        lagrange = inverse.lagrange(row, points[0])
        differences = [lagrange(point - points[0]) for point in points]
        expected = np.eye(8)[row] - np.eye(8)[row][0]
        assert differences == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("far", [1.0, 1e3])
def test_an_inverse_updated_by_bordering_is_that_of_the_new_points(far):
    rng = np.random.default_rng(3)
    points = rng.normal(size=(60, 12))
    points[7] *= far
    updated = Interpolation(points[:50], points[0], 1.0)
    updated.append(points[50])
    updated.replace(7, points[51])
    assert updated._updates == 2  # or there would be nothing to see
    anew = Interpolation(updated.points, points[0], 1.0)
    values, center = rng.normal(size=51), points[5]
    for mine, its in zip(
        updated.quadratic(values, center), anew.quadratic(values, center), strict=True
    ):
        assert mine == pytest.approx(its, rel=1e-5, abs=1e-6 * np.abs(its).max())
    assert updated.unknown(points[52:]) == pytest.approx(anew.unknown(points[52:]), rel=1e-5)


def test_what_is_unknown_is_nothing_at_a_point_and_grows_away_from_all():
    points = np.random.default_rng(4).normal(size=(9, 3))
    inverse = Interpolation(points, points[0], 1.0)
    assert inverse.unknown(points) == pytest.approx(np.zeros(9), abs=1e-7)
    near, away = inverse.unknown(np.array([[1.0, 1.0, 1.0], [9.0, -9.0, 9.0]]))
    assert 0 < near < away


def test_an_exchange_multiplies_the_determinant():
    points = np.random.default_rng(5).normal(size=(7, 2))
    inverse = Interpolation(points[:6], points[0], 1.0)

    def determinant(rows):
        matrix = np.zeros((9, 9))
        matrix[:6, :6] = ((rows - points[0]) @ (rows - points[0]).T) ** 2 / 2
        matrix[:6, 6] = matrix[6, :6] = 1.0
        matrix[:6, 7:], matrix[7:, :6] = rows - points[0], (rows - points[0]).T
        return np.linalg.det(matrix)

    before = determinant(points[:6])
    growth = []
    for row in range(6):
        rows = points[:6].copy()
        rows[row] = points[6]
        growth.append(abs(determinant(rows) / before))
    assert inverse.exchanges(points[6]) == pytest.approx(growth, rel=1e-4)


def test_a_point_twice_and_directions_without_points_do_no_harm():
    points = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    inverse = Interpolation(points[:2], points[0], 1.0)
    inverse.append(points[2])
    found = inverse.quadratic(points[:, 0], points[0])
    assert found.gradient == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)
    blind, seen = inverse.unknown(np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.0]]))
    assert blind > 1e6 * seen  # nothing is known of a direction without points


def test_a_cross_stays_in_the_box_and_spans_it():
    space = space_of([0.0, 1.0, 0.5], [(0, 1), (0, 1), (0.45, 0.55)])
    points = cross(space, np.zeros(3), 0.1 * np.eye(3), both=True)
    assert (space.clip(points) == points).all()
    assert np.linalg.matrix_rank(points[:3]) == 3
    assert len(np.unique(points, axis=0)) == 6
    corner = np.array([space.low[0], 0.0, 0.0])
    moves = turned_cross(space, corner, 0.1, np.random.default_rng(0))
    assert (moves == 0.1 * np.eye(3)).all()
    free = turned_cross(space_of([0.0, 0.0]), np.zeros(2), 0.1, np.random.default_rng(0))
    assert free @ free.T == pytest.approx(0.01 * np.eye(2))


def test_variables_are_measured_by_their_size_and_the_room_that_they_have():
    space = space_of([300.0, 0.5, 2.0, 7.0], [(None, None), (0, 1), (2, 2.02), (7, 7)])
    assert space.n == 3  # the last one is fixed
    ours = np.array([[1.0, 0.5, 0.1]])
    assert space.points(ours)[0] == pytest.approx([600.0, 1.0, 2.01, 7.0])
    assert space.ours(space.points(ours)) == pytest.approx(ours)
    assert space.high - space.low == pytest.approx([np.inf, 1.0, 0.2])


def test_a_moved_point_is_where_its_lagrange_function_is_large():
    rng = np.random.default_rng(6)
    points = rng.normal(size=(5, 2))
    points[4] *= 30
    inverse = Interpolation(points, points[0], 1.0)
    step = improving(inverse, 4, points[0], 1.0, space_of([0.0, 0.0]))
    assert np.linalg.norm(step) == pytest.approx(1.0)
    lagrange = inverse.lagrange(4, points[0])
    turns = np.linspace(0, 2 * np.pi, 100)
    most = max(abs(lagrange(np.array([np.cos(t), np.sin(t)]))) for t in turns)
    assert abs(lagrange(step)) >= 0.999 * most


def test_points_that_tell_much_are_not_those_that_are_known():
    points = np.vstack([np.zeros(3), np.eye(3)])
    candidates = np.vstack([np.eye(3), -np.eye(3)])
    found = informative(Interpolation(points, points[0], 1.0), candidates[3:4], candidates, 2)
    assert (
        sorted(map(tuple, found)) == [(0.0, -1.0, 0.0), (0.0, 0.0, -1.0)]
        or len({tuple(row) for row in found} & {tuple(row) for row in candidates[4:]}) == 2
    )


def test_known_points_that_span_directions_are_chosen_and_the_rest_is_missing():
    points = np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.2, 1e-6]])
    rows, missing = first_of_known(points, np.array([1.0, 0.0, 3.0, 4.0]), 0.1, 10)
    assert rows[0] == 1  # the best
    assert set(rows) >= {0, 1, 3}
    assert abs(missing) == pytest.approx(np.array([[0.0, 0.0, 1.0]]), abs=1e-4)
    many = np.random.default_rng(7).normal(size=(40, 2))
    rows, missing = first_of_known(many, many[:, 0], 1.0, 6)
    assert len(rows) == 6
    assert missing.shape == (0, 2)


def test_one_huge_value_does_not_bend_the_model():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]])
    values = np.sum(points**2, axis=1)
    values[5] = 1e39
    model = Sample(points, values, 1.0).model(1.0)
    assert np.abs(model.hessian).max() < 1e3


def look(noise, values, bend=0.0):
    noise.learn(values[0], np.array(values[1:]), bend, 1.0)
    return noise.sigma


def test_noise_is_the_scatter_of_looks():
    rng = np.random.default_rng(8)
    found = []
    for _ in range(300):
        noise = Noise(None)
        for _ in range(3):
            look(noise, 5 + 0.1 * rng.normal(size=4))
        found.append(noise.sigma)
    # The mean of three roots of a variance of two degrees of freedom is low by about 11 percent.
    assert np.mean(found) == pytest.approx(0.089, rel=0.1)


def test_exact_values_have_no_noise_whatever_their_curvature():
    noise = Noise(None)
    assert look(noise, [2.0, 2.0, 2.3, 2.4], bend=0.5) == 0.0
    assert noise.is_sought
    assert look(noise, [1e-30, 1e-30, 2e-30, 4e-30]) == 0.0  # rounding, seen from the start
    assert not noise.is_sought
    assert look(Noise(None), [2.0, 2.0, 2.1, 2.1]) > 0.05  # rough, as of a tolerance


def test_noise_that_is_told_is_believed():
    assert not Noise(0).is_sought
    assert Noise(0.5).sigma == 0.5
    for told in (0.5, "estimate"):
        noise = Noise(told)
        for _ in range(5):
            look(noise, [1.0] * 4)
        assert noise.is_sought
