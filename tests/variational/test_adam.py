import csv
import json

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import optimizers
from optimizers import ADAM, AMSGRAD, OptionError, StopReason, vectorized
from optimizers.problems import h2

START = np.array([-1.2, 1.0, 0.3, -0.7])
BOTH = pytest.mark.parametrize("cls", [ADAM, AMSGRAD])


def quadratic(x):
    return float(np.sum([1.0, 3.0] * x**2)) / 2


def quadratic_jac(x):
    return np.array([1.0, 3.0]) * x


def iterates_of(optimizer, fun=rosen, x0=START, jac=rosen_der, **settings):
    iterates = []
    optimizer.minimize(fun, x0, jac, callback=iterates.append, **settings)
    return np.array(iterates)


def torch_iterates(steps, jac=rosen_der, **options):
    torch = pytest.importorskip("torch", reason="needs the extra: torch")
    x = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([x], **options)
    iterates = []
    for _ in range(steps):
        x.grad = torch.from_numpy(jac(x.detach().numpy()))
        optimizer.step()
        iterates.append(x.detach().numpy().copy())
    return np.array(iterates)


@BOTH
@pytest.mark.parametrize("noise_factor", [0.0, 1e-8, 1e-2])
@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.9, 0.999), (0.0, 0.5)])
def test_every_step_is_that_of_pytorch(cls, noise_factor, betas):
    ours = cls(500, 0.0, 0.02, *betas, noise_factor)
    theirs = torch_iterates(500, lr=0.02, betas=betas, eps=noise_factor, amsgrad=cls is AMSGRAD)
    np.testing.assert_allclose(iterates_of(ours), theirs, rtol=0, atol=1e-12)


@BOTH
def test_without_noise_factor_every_step_is_that_of_qiskit(cls):
    algorithms = pytest.importorskip(
        "qiskit_algorithms.optimizers", reason="needs the extra: qiskit"
    )
    ours = iterates_of(cls(maxiter=200, tol=0.0, lr=0.02, noise_factor=0.0))
    theirs = []

    def jac(x):
        theirs.append(x.copy())
        return rosen_der(x)

    qiskits = algorithms.ADAM(200, 0.0, 0.02, noise_factor=0.0, amsgrad=cls is AMSGRAD)
    last = qiskits.minimize(rosen, START.copy(), jac).x
    np.testing.assert_allclose(ours, [*theirs[1:], last], rtol=0, atol=1e-12)
    # Qiskit's other noise factors are not divided by sqrt(1 - beta_2**t): Algorithm 1's are.
    apart = algorithms.ADAM(1, 0.0, 0.02, noise_factor=1.0).minimize(rosen, START, rosen_der).x
    scaled = ADAM(1, 0.0, 0.02, noise_factor=1 / np.sqrt(1 - 0.99)).minimize(
        rosen, START, rosen_der
    )
    np.testing.assert_allclose(scaled.x, apart, rtol=0, atol=1e-12)


def test_the_first_step_is_the_rate_against_the_sign():
    # m and v corrected for their start are the gradient and its square.
    x = ADAM(maxiter=1, lr=0.25, noise_factor=0.0).minimize(quadratic, [3, -2], quadratic_jac).x
    assert x == pytest.approx([2.75, -1.75], rel=1e-15)


@BOTH
def test_a_gradient_without_noise_factor_that_is_zero_moves_nothing(cls):
    result = cls(maxiter=3, noise_factor=0.0).minimize(quadratic, [1.0, 0.0], quadratic_jac)
    assert result.x[1] == 0.0
    assert result.x[0] < 1.0


@BOTH
def test_it_converges_when_a_step_is_short(cls):
    optimizer = cls(lr=0.1, tol=1e-4)
    result = optimizer.minimize(quadratic, [3.0, -2.0], quadratic_jac)
    assert (result.stop, result.success) == (StopReason.STEP, True)
    steps = np.diff(iterates_of(optimizer, quadratic, [3.0, -2.0], quadratic_jac), axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    assert lengths[-1] < 1e-4 <= lengths[:-1].min()
    # A value and a gradient each step, and the value at the end.
    assert (result.nfev, result.njev) == (result.nit + 1, result.nit)


def test_every_point_counts():
    # Qiskit says nfev = 10 here.
    points = []
    result = ADAM(maxiter=10).minimize(lambda x: points.append(x) or quadratic(x), [1.0, 2.0])
    assert result.nfev == len(points) == 10 * 3 + 1
    assert result.stop is StopReason.MAXITER


def test_differences_have_a_given_step_and_travel_with_the_value():
    waves = []

    @vectorized
    def fun(points):
        waves.append(points.copy())
        return (points**2).sum(axis=1)

    ADAM(maxiter=2, eps=0.25).minimize(fun, [1.0, 2.0])
    assert [len(wave) for wave in waves] == [3, 3, 1]
    assert waves[0].tolist() == [[1.0, 2.0], [1.25, 2.0], [1.0, 2.25]]
    waves.clear()
    ADAM(maxiter=1).minimize(fun, [1.0, 2.0])
    assert np.abs(waves[0] - waves[0][0]).max() == pytest.approx(1e-10, rel=1e-5)
    waves.clear()
    ADAM(maxiter=1).minimize(fun, [1.0, 2.0], "3-point")
    assert [len(wave) for wave in waves] == [5, 1]


@BOTH
def test_bounds_are_projected_to(cls):
    result = cls(lr=0.1).minimize(quadratic, [3.0, 2.0], quadratic_jac, [(1.0, None), (None, 2.5)])
    assert result.success
    assert result.x == pytest.approx([1.0, 0.0], abs=2e-3)


@BOTH
def test_momentum_into_a_bound_is_no_convergence(cls):
    # It overshoots the minimum at 0.3 and stands at the bound until its momentum turns.
    def fun(x):
        return float((x[0] - 0.3) ** 2)

    def jac(x):
        return 2 * (x - 0.3)

    optimizer = cls(lr=0.4, beta_1=0.95)
    iterates = iterates_of(optimizer, fun, [3.0], jac, bounds=[(0, None)])
    assert np.count_nonzero(iterates == 0.0) >= 2
    result = optimizer.minimize(fun, [3.0], jac, [(0, None)])
    assert result.success
    assert result.x == pytest.approx([0.3], abs=1e-3)


def test_a_rejected_point_makes_no_jump():
    def fun(x):
        return np.nan if x[0] > 1.5 else float((x[0] - 2) ** 2)

    iterates = iterates_of(
        ADAM(maxiter=100, lr=0.1), fun, [0.0], lambda x: 2 * (x - 2), on_failure="reject"
    )
    assert np.abs(np.diff(iterates, axis=0)).max() < 0.3
    result = ADAM(maxiter=100, lr=0.1).minimize(
        fun, [0.0], lambda x: 2 * (x - 2), on_failure="reject"
    )
    assert result.fun == fun(result.x) < 0.36  # within a step of the edge: 0.25 there


def test_it_minimises_the_energy_of_a_molecule():
    energy = h2()
    for cls in (ADAM, AMSGRAD):
        result = cls(maxiter=2000, lr=0.05, tol=1e-7).minimize(energy, energy.x0, energy.jac)
        assert result.fun == pytest.approx(energy.ground_energy, abs=1e-6)


@BOTH
def test_a_run_in_parts_is_the_whole_to_the_last_bit(cls):
    whole = iterates_of(cls(maxiter=40, lr=0.02))
    first = cls(maxiter=15, lr=0.02).minimize(rosen, START, rosen_der)
    assert first.moments["t"] == 15
    assert ("v_eff" in first.moments) == (cls is AMSGRAD)
    second = cls(maxiter=25, lr=0.02, moments=first.moments)
    assert np.array_equal(iterates_of(second, x0=first.x), whole[15:])
    assert np.array_equal(iterates_of(second, x0=first.x), whole[15:])  # it holds no run's state
    kept = json.loads(json.dumps(first.to_dict()))["moments"]
    assert cls(maxiter=25, lr=0.02, moments=kept) == second == cls(**second.settings)
    assert second != cls(maxiter=25, lr=0.02)


def test_what_a_callback_does_to_the_moments_changes_nothing():
    def spoil(intermediate_result):
        intermediate_result.moments["m"][:] = np.nan
        seen.append(intermediate_result.moments["t"])

    seen = []
    optimizer = ADAM(maxiter=5)
    result = optimizer.minimize(rosen, START, rosen_der, callback=spoil)
    assert seen == [1, 2, 3, 4, 5]
    assert np.array_equal(result.x, optimizer.minimize(rosen, START, rosen_der).x)


@BOTH
def test_snapshots_are_written_after_every_step_and_loaded_again(cls, tmp_path):
    whole = iterates_of(cls(maxiter=40, lr=0.02))
    optimizer = cls(maxiter=15, lr=0.02, snapshot_dir=str(tmp_path))
    for _ in range(2):  # each run begins the file anew
        first = optimizer.minimize(rosen, START, rosen_der)
        rows = list(csv.reader((tmp_path / "adam_params.csv").read_text().splitlines()))
        assert rows[0] == (["v", "v_eff", "m", "t"] if cls is AMSGRAD else ["v", "m", "t"])
        assert [int(row[-1]) for row in rows[1:]] == list(range(1, 16))
    second = cls(maxiter=25, lr=0.02)
    second.load_params(tmp_path)
    assert np.array_equal(iterates_of(second, x0=first.x), whole[15:])
    other = tmp_path / "other"
    other.mkdir()
    second.save_params(other)
    again = cls(maxiter=25, lr=0.02)
    again.load_params(str(other))
    assert again == second


def test_snapshots_of_a_run_that_goes_on_from_its_journal_are_all_of_it(tmp_path):
    settings = {"journal": tmp_path / "run.jsonl"}
    ADAM(maxiter=6, snapshot_dir=str(tmp_path)).minimize(rosen, START, rosen_der, **settings)
    ADAM(maxiter=9, snapshot_dir=str(tmp_path)).minimize(rosen, START, rosen_der, **settings)
    assert len((tmp_path / "adam_params.csv").read_text().splitlines()) == 1 + 9
    moved = ADAM(maxiter=9)  # where snapshots go is not what a run is
    assert moved.minimize(rosen, START, rosen_der, **settings).nit == 9


def test_snapshots_of_qiskit_are_read(tmp_path):
    algorithms = pytest.importorskip(
        "qiskit_algorithms.optimizers", reason="needs the extra: qiskit"
    )
    theirs = algorithms.ADAM(maxiter=12, lr=0.02, snapshot_dir=str(tmp_path))
    theirs.minimize(rosen, START, rosen_der)
    optimizer = ADAM()
    optimizer.load_params(tmp_path)
    assert optimizer.moments["t"] == 12
    # Qiskit writes eight digits.
    assert optimizer.moments["m"] == pytest.approx(theirs._m, rel=1e-6)


def test_what_cannot_be_loaded_or_saved_says_why(tmp_path):
    with pytest.raises(OptionError, match="cannot be read"):
        ADAM().load_params(tmp_path)
    (tmp_path / "adam_params.csv").write_text("v,m,t\n")
    with pytest.raises(OptionError, match="has no moments"):
        ADAM().load_params(tmp_path)
    (tmp_path / "adam_params.csv").write_text("v,m,t\n[1.0 2.0],[0.5 0.1],3\n")
    with pytest.raises(OptionError, match="v_eff"):
        AMSGRAD().load_params(tmp_path)
    with pytest.raises(OptionError, match="stores no state of a run"):
        ADAM().save_params(tmp_path)
    optimizer = ADAM()
    optimizer.load_params(tmp_path)
    with pytest.raises(OptionError, match="2 variables, but x0 has 4"):
        optimizer.minimize(rosen, START, rosen_der)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"lr": -0.1}, "lr is -0.1"),
        ({"beta_1": 1.0}, r"beta_1 is 1.0, expected a number in \[0, 1\)"),
        ({"beta_2": -0.1}, "beta_2 is -0.1"),
        ({"noise_factor": np.nan}, "noise_factor is nan"),
        ({"eps": 0.0}, "eps is 0.0"),
        ({"tol": -1.0}, "tol is -1.0"),
        ({"maxiter": 1.5}, "maxiter is 1.5"),
        ({"amsgrad": "yes"}, "amsgrad is 'yes'"),
        ({"snapshot_dir": "/no/such/directory"}, "expected a directory that exists"),
        ({"moments": {"m": [1.0]}}, "expected a dict with m, v"),
        ({"moments": {"m": [1.0], "v": [1.0, 2.0], "t": 1}}, "all of the same size"),
        ({"moments": {"m": [1.0], "v": [-1.0], "t": 1}}, "not negative"),
        ({"moments": {"m": [1.0], "v": ["a"], "t": 1}}, "expected a dict with m, v"),
        ({"moments": {"m": [1.0], "v": [1.0], "t": -1}}, "t of the moments is -1"),
    ],
)
def test_what_cannot_be_used_is_an_error_at_once(given, words):
    with pytest.raises(OptionError, match=words):
        ADAM(**given)
    optimizer = ADAM()
    with pytest.raises(OptionError, match=words):
        optimizer.set_options(**given)
    assert optimizer == ADAM()


def test_amsgrad_is_adam_with_amsgrad():
    assert AMSGRAD().settings == {**ADAM().settings, "amsgrad": True}
    assert AMSGRAD(**AMSGRAD().settings) == AMSGRAD() != ADAM(amsgrad=True)
    ours, theirs = AMSGRAD(maxiter=30, lr=0.1), ADAM(maxiter=30, lr=0.1, amsgrad=True)
    assert np.array_equal(iterates_of(ours), iterates_of(theirs))
    assert optimizers.find("amsgrad") is AMSGRAD


def test_moments_are_the_optimizers_own():
    moments = {"m": [1.0], "v": [1.0], "t": 1}
    optimizer = ADAM(moments=moments)
    moments["t"] = 2
    optimizer.settings["moments"]["m"][0] = np.nan
    assert optimizer.moments == {"m": [1.0], "v": [1.0], "t": 1}


def test_no_steps_are_the_value_at_the_start():
    result = ADAM(maxiter=0).minimize(quadratic, [1.0, 2.0])
    assert (result.nfev, result.nit, result.stop) == (1, 0, StopReason.MAXITER)
