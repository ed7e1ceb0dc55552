"""SciPy's kernels driven directly, and the public functions in their stead: the same results."""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der

import optimizers
from optimizers import LBFGSB, TNC, minimize_lbfgsb, minimize_tnc
from optimizers._arrays import rotate
from optimizers.problems import get_problem
from optimizers.scipy.lbfgsb import available
from optimizers.scipy.lbfgsb.kernel import LbfgsbKernel
from optimizers.scipy.options import LbfgsbOptions
from optimizers.scipy.tnc import kernel as tnc

X0 = [-1.2, 1.0]
PRIVATE = ["_lbfgsb", "_moduleTNC"]
NAMES = [
    "rosenbrock", "beale", "helical_valley", "powell_badly_scaled", "wood", "extended_rosenbrock",
    "linear_full_rank", "hs1", "hs2", "hs3", "hs4", "hs5", "hs25", "hs38", "hs45", "hs110",
    "beale_bounded", "brown_badly_scaled_bounded", "wood_bounded",
]  # fmt: skip


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch):
    """Return a context in which SciPy's private kernels are out of reach."""

    class Refused:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"the private {name} was used")

    def turn_off() -> None:
        monkeypatch.setattr(available, "lbfgsb_integer", lambda: None)
        monkeypatch.setattr(tnc, "tnc_works", lambda: False)
        for module in PRIVATE:
            monkeypatch.setattr(scipy.optimize, module, Refused())

    return turn_off


def assert_same(ours, other, counts: tuple[str, ...] = ("nfev", "njev", "nit")) -> None:
    assert np.array_equal(ours.x, other.x)
    assert ours.fun == other.fun
    assert np.array_equal(ours.jac, other.jac)
    # SciPy evaluates TNC's last point once more, where scaling moved it by a rounding error.
    spent = [name for name in counts if name != "nit"]
    for name in spent:
        assert ours[name] <= other[name] <= ours[name] + 1
    for name in {*counts, "status", "message", "success", "stop"} - set(spent):
        assert ours[name] == other[name], name


def assert_same_pairs(ours, other) -> None:
    # The kernel stores step length times direction, the public way has the difference of points.
    size = np.abs(ours.x).max(initial=1.0)
    assert ours.hess_inv.n_corrs == other.hess_inv.n_corrs
    assert np.allclose(ours.hess_inv.sk, other.hess_inv.sk, rtol=1e-6, atol=1e-14 * size)
    assert np.allclose(ours.hess_inv.yk, other.hess_inv.yk, rtol=1e-12, atol=0)


def test_this_scipys_kernels_are_used() -> None:
    assert available.lbfgsb_integer() in (np.int32, np.int64)
    assert tnc.tnc_works() is True


@pytest.mark.parametrize(
    "options", [{}, {"maxcor": 3, "ftol": 1e-11}, {"maxiter": 4}, {"maxiter": 0}, {"maxfun": 6}]
)
@pytest.mark.parametrize("name", NAMES)
def test_lbfgsb_is_the_same_through_the_public_function(name: str, options: dict, public) -> None:
    problem = get_problem(name)
    arguments = {"jac": problem.jac, "bounds": problem.bounds, **options}
    direct = minimize_lbfgsb(problem.fun, problem.x0, **arguments)
    public()
    other = minimize_lbfgsb(problem.fun, problem.x0, **arguments)
    assert_same(direct, other)
    assert_same_pairs(direct, other)


@pytest.mark.parametrize(
    "options", [{}, {"maxfun": 12}, {"eta": 0.5, "scale": 2.0, "offset": 0.5, "xtol": 1e-4}]
)
@pytest.mark.parametrize("name", NAMES)
def test_tnc_is_the_same_through_the_public_function(name: str, options: dict, public) -> None:
    problem = get_problem(name)
    arguments = {"jac": problem.jac, "bounds": problem.bounds, **options}
    steps, others = [], []
    direct = minimize_tnc(problem.fun, problem.x0, callback=steps.append, **arguments)
    public()
    other = minimize_tnc(problem.fun, problem.x0, callback=others.append, **arguments)
    assert_same(direct, other)
    assert np.array_equal(steps, others)


@pytest.mark.parametrize("face", [minimize_lbfgsb, minimize_tnc])
@pytest.mark.parametrize("jac", [None, "3-point"])
@pytest.mark.parametrize("bounds", [None, [(None, 0.5), (-1, None)]])
def test_differences_are_the_same_through_the_public_functions(face, jac, bounds, public) -> None:
    direct = face(rosen, X0, jac=jac, bounds=bounds)
    public()
    assert_same(direct, face(rosen, X0, jac=jac, bounds=bounds))


@pytest.mark.parametrize("face", [minimize_lbfgsb, minimize_tnc])
@pytest.mark.parametrize(
    "bounds", [[(-1.2, -1.2), (None, None)], [(-1.2, -1.2), (1.0, 1.0)]], ids=["one", "all"]
)
def test_fixed_variables_are_the_same_through_the_public_functions(face, bounds, public) -> None:
    direct = face(rosen, X0, jac=rosen_der, bounds=bounds)
    public()
    assert_same(direct, face(rosen, X0, jac=rosen_der, bounds=bounds))


@pytest.mark.parametrize("face", [minimize_lbfgsb, minimize_tnc])
def test_no_variables_are_the_same_through_the_public_functions(face, public) -> None:
    public()
    result = face(lambda x: 3.0, [])
    assert (result.fun, result.nfev, result.x.shape) == (3.0, 1, (0,))


@pytest.mark.parametrize("face", [minimize_lbfgsb, minimize_tnc])
@pytest.mark.parametrize(
    "jac", [lambda x: -rosen_der(x), lambda x: rosen_der(x)[::-1], lambda x: rosen_der(x) + 1.0]
)
def test_abnormal_endings_are_the_same_through_the_public_functions(face, jac, public) -> None:
    direct = face(rosen, X0, jac=jac, maxfun=300)
    public()
    other = face(rosen, X0, jac=jac, maxfun=300)
    assert other.fun == rosen(other.x)
    assert np.array_equal(other.jac, jac(other.x))
    assert_same(direct, other)
    if face is minimize_lbfgsb:
        assert_same_pairs(direct, other)


@pytest.mark.parametrize("face", [minimize_lbfgsb, minimize_tnc])
@pytest.mark.parametrize("calls", [0, 1, 3, 7])
def test_stops_from_outside_are_the_same_through_the_public_functions(
    face, calls: int, public
) -> None:
    def run():
        made = []

        def fun(x: np.ndarray) -> float:
            made.append(x)
            if len(made) > calls:
                raise StopIteration
            return rosen(x)

        return face(fun, X0, jac=rosen_der), face(
            rosen, X0, jac=rosen_der, callback=lambda x: bool(x[0] > -1.02)
        )

    direct = run()
    public()
    for first, second in zip(direct, run(), strict=True):
        assert (first.fun, first.nfev, first.nit) == (second.fun, second.nfev, second.nit)
        assert (first.status, first.message) == (second.status, second.message)
        assert np.array_equal(first.x, second.x)


@pytest.mark.parametrize("face", [minimize_lbfgsb, minimize_tnc])
def test_an_error_of_the_users_passes_through_both_ways(face, public) -> None:
    def fun(x: np.ndarray) -> float:
        raise KeyError("mine")

    for turn in (lambda: None, public):
        turn()
        with pytest.raises(KeyError, match="mine"):
            face(fun, X0, jac=rosen_der)


def test_nan_is_no_success_either_way(public) -> None:
    public()
    for face in (minimize_lbfgsb, minimize_tnc):
        result = face(lambda x: np.nan, X0, jac=lambda x: np.zeros(2))
        assert not result.success


def test_the_classes_are_the_same_through_the_public_functions(public) -> None:
    problem = get_problem("hs38")
    both = LBFGSB(), TNC()
    direct = [one.minimize(problem.fun, problem.x0, problem.jac, problem.bounds)
              for one in both]  # fmt: skip
    public()
    for one, result in zip(both, direct, strict=True):
        assert_same(result, one.minimize(problem.fun, problem.x0, problem.jac, problem.bounds))


def test_restart_and_printing_are_the_same_through_the_public_function(
    public, capsys: pytest.CaptureFixture
) -> None:
    problem = get_problem("powell_badly_scaled")
    arguments = {"jac": problem.jac, "restart": True, "iprint": 101}
    direct = minimize_lbfgsb(problem.fun, problem.x0, **arguments)
    text = capsys.readouterr().out
    public()
    assert_same(direct, minimize_lbfgsb(problem.fun, problem.x0, **arguments))
    assert capsys.readouterr().out == text


# The check of the kernels.


@pytest.fixture
def fresh():
    """Forget what the checks found, before and after a test."""
    available.lbfgsb_integer.cache_clear()
    tnc.tnc_works.cache_clear()
    yield
    available.lbfgsb_integer.cache_clear()
    tnc.tnc_works.cache_clear()


def wrong_signature(*arguments: object) -> object:
    raise TypeError("setulb() takes 3 arguments")


class Silent:
    """A kernel that answers, but does nothing."""

    @staticmethod
    def setulb(*arguments: object) -> None:
        arguments[11][0] = 4

    @staticmethod
    def tnc_minimize(fun, x0, *arguments: object) -> tuple:
        return 0, 1, 1, x0, 0.0, x0


class Changed:
    """Kernels with another signature."""

    setulb = tnc_minimize = staticmethod(wrong_signature)


@pytest.mark.parametrize("private", [None, Changed, Silent])
@pytest.mark.usefixtures("fresh")
def test_a_kernel_that_misbehaves_is_not_used(private, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [face(rosen, X0, jac=rosen_der) for face in (minimize_lbfgsb, minimize_tnc)]
    available.lbfgsb_integer.cache_clear()
    tnc.tnc_works.cache_clear()
    for module in PRIVATE:
        if private is None:
            monkeypatch.delattr(scipy.optimize, module)
        else:
            monkeypatch.setattr(scipy.optimize, module, private)
    assert available.lbfgsb_integer() is None
    assert not tnc.tnc_works()
    for face, result in zip((minimize_lbfgsb, minimize_tnc), expected, strict=True):
        assert_same(result, face(rosen, X0, jac=rosen_der))


def test_private_names_are_those_of_the_kernels_modules_and_of_the_locks() -> None:
    package = Path(optimizers.__file__).parent
    private = re.compile(r"optimize\._|_moduleTNC|_module_lock|COBYQA_LOCK")
    found = {
        str(path.relative_to(package / "scipy"))
        for path in package.rglob("*.py")
        if private.search(path.read_text())
    }
    assert found == {"lbfgsb/kernel.py", "tnc/kernel.py", "locks.py"}


# The kernel's state.


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("columns", [1, 3, 60_000])
def test_rotating_rows_in_place_is_rolling_them(rows: int, columns: int) -> None:
    for first in range(rows):
        given = np.arange(float(rows * columns)).reshape(rows, columns)
        expected = np.roll(given, -first, axis=0)
        rotate(given, first)
        assert np.array_equal(given, expected)


def test_scipys_ring_buffer_is_what_ours_puts_in_order() -> None:
    # Beyond m updates SciPy 1.17 hands out the same pairs in the order of the ring.
    if not scipy.__version__.startswith("1.17."):
        pytest.skip("SciPy may have mended it")
    raw = scipy.optimize.minimize(
        rosen, X0, jac=rosen_der, method="L-BFGS-B", options={"maxcor": 5, "maxiter": 13}
    )
    ours = minimize_lbfgsb(rosen, X0, jac=rosen_der, maxcor=5, maxiter=13).hess_inv.sk
    # 12 updates: the ring's oldest is row 2; ours has gone on by the final one.
    assert np.array_equal(np.roll(raw.hess_inv.sk, -2, axis=0)[1:], ours[:-1])


@pytest.mark.parametrize("count", [1, 4, 9])
def test_pairs_taken_before_the_first_iteration_make_the_matrix_of_bfgs(count):
    n, m, rng = 6, 5, np.random.default_rng(count)
    root = rng.normal(size=(n, n))
    hessian = root @ root.T + np.eye(n)
    steps = [rng.normal(size=n) for _ in range(count)]
    x, rays = np.ones(n), []
    kernel = LbfgsbKernel(x, None, None, LbfgsbOptions(maxcor=m), available.lbfgsb_integer())
    assert kernel.learn(1.0, hessian @ x, [(s, hessian @ s) for s in steps])

    def search(kernel):
        rays.append(kernel.ray().direction.copy())
        kernel.f[...], kernel.g[...] = kernel.x @ hessian @ kernel.x / 2, hessian @ kernel.x

    kernel.run(lambda x: pytest.fail("called"), 1, lambda kernel: None, search=search)
    last = steps[-1]
    scale = last @ hessian @ last / np.sum((hessian @ last) ** 2)
    inverse = scale * np.eye(n)  # by the definition of BFGS, on the last pairs
    for s in steps[-m:]:
        y = hessian @ s
        part = np.eye(n) - np.outer(s, y) / (s @ y)
        inverse = part @ inverse @ part.T + np.outer(s, s) / (s @ y)
    np.testing.assert_allclose(rays[0], -inverse @ hessian @ x, rtol=1e-9)


def test_without_the_private_kernel_known_gradients_change_nothing(public):
    known = [X0, [-1.0, 1.1]], [rosen(X0), 5.0], [rosen_der(X0), rosen_der([-1.0, 1.1])]
    assert available.learns()
    available.learns.cache_clear()
    public()
    try:
        result = LBFGSB().minimize(rosen, None, rosen_der, known=known)
        assert not available.learns()
        assert result.success
    finally:
        available.learns.cache_clear()
