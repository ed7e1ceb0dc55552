"""PyTorch: minimize, the interfaces, and TorchOptimizer."""

import copy
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize

from optimizers import (
    CG,
    LBFGSB,
    NELDER_MEAD,
    TNC,
    CapabilityError,
    CrossedBoundsError,
    History,
    InvalidInputError,
    MissingExtraError,
    NonFiniteValueError,
    NoValueError,
    OptimizerWarning,
    StopReason,
)
from optimizers.external import (
    ExternalOptimizerInterface,
    OptimizerInterface,
    ScipyOptimizerInterface,
)
from optimizers.external.torch import TorchOptimizer, minimize
from optimizers.external.torch.backend import TorchBackend
from tests.external.methods import QUICK, SECOND_ORDER, assert_at_ones, rosenbrock


@pytest.mark.parametrize("face", [minimize, TorchOptimizer])
def test_without_torch_the_error_names_the_extra(monkeypatch, face):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install torch"):
        face(lambda: None, [])


torch = pytest.importorskip("torch", reason="needs the extra: torch")


def parameter(values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def held(variables):
    return [v.detach().tolist() for v in variables]


class Bowl:
    """A squared distance from 1, 2, 3, ... in a scalar, a vector and a matrix together."""

    def __init__(self, *dtypes):
        types = dtypes or [torch.float64] * 3
        self.variables = [
            torch.zeros(shape, dtype=dtype, requires_grad=True)
            for shape, dtype in zip([(), (2,), (2, 2)], types, strict=True)
        ]
        self.calls = 0

    def x(self):
        return torch.cat([v.reshape(-1) for v in self.variables])

    def __call__(self):
        self.calls += 1
        return (self.x() - torch.arange(1, 8)).square().sum()


# Accuracy.


@pytest.mark.parametrize(("method", "options", "n", "accuracy"), QUICK)
def test_rosenbrock_in_single_precision(method, options, n, accuracy):
    w = parameter([0.0] * n, torch.float32)
    result = minimize(lambda: rosenbrock(w), [w], method=method, options=options)
    assert w.dtype == torch.float32
    assert_at_ones(w.detach(), accuracy)
    np.testing.assert_array_equal(w.detach(), result.x.astype(np.float32))
    assert (result.nhev > 0) == (method in SECOND_ORDER)


@pytest.mark.parametrize(
    ("dtypes", "packed", "atol"),
    [
        ([torch.float64] * 3, np.float64, 1e-6),
        ([torch.float32] * 3, np.float32, 1e-5),
        ([torch.float32, torch.float64, torch.float32], np.float64, 1e-5),
        ([torch.bfloat16, torch.float32, torch.bfloat16], np.float32, 1e-1),
        ([torch.bfloat16, torch.float64, torch.float16], np.float64, 1e-1),
    ],
)
def test_shapes_and_types_together(dtypes, packed, atol):
    bowl, given = Bowl(*dtypes), {}

    class Recorder(ExternalOptimizerInterface):
        def _minimize(self, **keywords):
            given.update(keywords)
            return keywords["initial_val"]

    Recorder(bowl, bowl.variables).minimize()
    assert given["initial_val"].dtype == packed
    loss, gradient = given["loss_grad_func"](np.arange(7.0))
    assert (loss, gradient.dtype) == (7, packed)
    np.testing.assert_allclose(gradient, -2)
    minimize(bowl, bowl.variables)
    assert [v.dtype for v in bowl.variables] == dtypes
    np.testing.assert_allclose(bowl.x().detach(), np.arange(1, 8), rtol=atol)


def test_the_loss_keeps_its_own_type():
    w, given = parameter([1.0, 2.0]), {}

    class Recorder(ExternalOptimizerInterface):
        def _minimize(self, initial_val, **keywords):
            given.update(keywords)
            return initial_val

    for dtype, expected in [(torch.float32, np.float32), (torch.float64, np.float64)]:
        Recorder(lambda dtype=dtype: w.square().sum().to(dtype), [w]).minimize()
        assert type(given["loss_grad_func"](np.ones(2))[0]) is expected


def test_a_parameter_that_is_not_contiguous():
    w = torch.zeros(2, 3, dtype=torch.float64).t().requires_grad_()
    wanted = torch.arange(6.0, dtype=torch.float64).reshape(3, 2)
    result = minimize(lambda: (w - wanted).square().sum(), w)
    np.testing.assert_allclose(w.detach(), wanted, atol=1e-6)
    np.testing.assert_allclose(result.x, np.arange(6.0), atol=1e-6)


def test_a_sparse_gradient():
    table = torch.nn.Embedding(5, 2, sparse=True, dtype=torch.float64)
    before = table.weight.detach().clone()
    rows = torch.tensor([1, 3])
    minimize(lambda: table(rows).square().sum(), table.parameters())
    np.testing.assert_allclose(table.weight.detach()[rows], 0, atol=1e-6)
    assert torch.equal(table.weight.detach()[[0, 2, 4]], before[[0, 2, 4]])


# What is changed, and what is not.


def test_grad_is_left_alone():
    used, unused = parameter([1.0, 2.0]), parameter(3.0)
    used.grad = torch.full((2,), 7.0, dtype=torch.float64)
    minimize(lambda: used.square().sum(), [used, unused], method="Newton-CG")
    assert used.grad.tolist() == [7.0, 7.0]
    assert unused.grad is None


def test_a_parameter_that_the_loss_does_not_depend_on_stays():
    used, unused = parameter([1.0, 2.0]), parameter([[3.0]])
    result = minimize(lambda: used.square().sum(), [unused, used])
    assert unused.tolist() == [[3.0]]
    assert result.jac[0] == 0
    np.testing.assert_allclose(used.detach(), 0, atol=1e-8)


def test_parameters_keep_their_identity_memory_and_graph_rights():
    model = torch.nn.Linear(3, 2)
    places = [p.data_ptr() for p in model.parameters()]
    data = torch.eye(3)
    minimize(lambda: (model(data) - 1).square().sum(), model.parameters())
    assert [p.data_ptr() for p in model.parameters()] == places
    assert all(p.is_leaf and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("call", range(1, 6))
@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG", "Powell", "SLSQP"])
def test_an_exception_at_any_evaluation_leaves_the_parameters_as_they_were(method, call):
    bowl = Bowl(torch.float32, torch.float64, torch.bfloat16)
    with torch.no_grad():
        bowl.variables[1].copy_(torch.tensor([0.3, -5.0]))
    before = held(bowl.variables)

    def loss():
        if bowl.calls == call:
            raise ZeroDivisionError
        return bowl().square()

    with pytest.raises(ZeroDivisionError):
        minimize(loss, bowl.variables, method=method)
    assert held(bowl.variables) == before


@pytest.mark.parametrize("which", ["step_callback", "loss_callback", "inequality", "interrupt"])
def test_an_exception_of_another_function_leaves_the_parameters_as_they_were(which):
    w = parameter([3.0, 4.0])
    error = KeyboardInterrupt if which == "interrupt" else ZeroDivisionError
    seen = []

    def fail(*_):
        seen.append(1)
        if len(seen) == 2:
            raise error
        return w[0]

    given = {"inequalities": [fail]} if which == "inequality" else {"loss_callback": fail}
    if which == "step_callback":
        given = {"step_callback": fail}
    with pytest.raises(error):
        minimize(lambda: (w**4).sum(), [w], **given)
    assert w.tolist() == [3.0, 4.0]


def test_stop_iteration_ends_on_the_best_point():
    w, values = parameter([-1.2, 1.0]), []

    def stop(loss):
        values.append(float(loss))
        if len(values) == 5:
            raise StopIteration

    def loss():
        return rosenbrock(w)

    result = minimize(loss, [w], fetches=[loss], loss_callback=stop)
    assert result.stop is StopReason.CALLBACK
    assert loss().item() == min(values) == result.fun


def test_under_no_grad():
    w = parameter([1.0, 2.0])
    with torch.no_grad():
        minimize(
            lambda: w.square().sum(), [w], inequalities=[lambda: w[0] - 0.5], method="trust-constr"
        )
    np.testing.assert_allclose(w.detach(), [0.5, 0], atol=1e-3)


# The framework's derivatives.


def test_the_points_are_those_of_scipy():
    theirs, ours = [], []

    def fun(x):
        theirs.append(x.tolist())
        return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)

    scipy.optimize.minimize(fun, np.zeros(3), jac=True, method="L-BFGS-B")
    w = parameter([0.0] * 3)
    minimize(
        lambda: rosenbrock(w), [w], fetches=[w], loss_callback=lambda x: ours.append(x.tolist())
    )
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_hessian_vector_products_are_exact():
    a, b, products = parameter([0.3, -0.7]), parameter([[1.1]], torch.float32), []

    class Recorder(ExternalOptimizerInterface):
        def _minimize(self, initial_val, loss_grad_func, **given):
            x, p = initial_val + 0.5, np.array([1.0, -2.0, 3.0])
            products.append(loss_grad_func.hessp(x, p))
            loss_grad_func(x + 1)  # moves the parameters
            products.append(loss_grad_func.hessp(x, p))
            return x

    def loss():
        return rosenbrock(torch.cat([a, b.reshape(1).double()]))

    Recorder(loss, [a, b]).minimize()
    x = np.array([0.3, -0.7, np.float32(1.1)]) + 0.5
    expected = scipy.optimize.rosen_hess_prod(x, np.array([1.0, -2.0, 3.0]))
    np.testing.assert_allclose(products, [expected, expected], rtol=1e-6)


def test_the_gradients_graph_is_built_once_for_all_products_at_a_point():
    calls = []
    w = parameter([-1.2, 1.0])

    def loss():
        calls.append(1)
        return rosenbrock(w)

    result = minimize(loss, [w], method="Newton-CG")
    assert result.nhev > result.nit + 5
    assert len(calls) <= result.nfev + result.nit + 1


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-constr"])
def test_losses_without_curvature_in_some_parameters(method):
    curved, linear = parameter(2.0), parameter([3.0])
    result = minimize(
        lambda: curved.square() + linear.sum(), [curved, linear], method=method, maxfun=5
    )
    assert result.nfev <= 5
    assert result.fun < 7
    flat = parameter([1.0])
    result = minimize(lambda: 2 * flat.sum(), [flat], method="trust-constr", maxfun=5)
    assert result.fun < 2


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "COBYLA", "COBYQA"])
def test_equality_and_inequality(method):
    w, b = parameter([3.0, 1.0]), parameter([[4.0, 4.0]], torch.float32)
    minimize(
        lambda: w.square().sum() + b.square().sum(),
        [w, b],
        [None, (0.5, [[None, 9.0]])],
        equalities=[lambda: w.sum() - 3],
        inequalities=[lambda: torch.stack([w[0] - 2, w[1] - 0.1])],
        method=method,
    )
    np.testing.assert_allclose(w.detach(), [2, 1], atol=2e-3)
    np.testing.assert_allclose(b.detach(), [[0.5, 0.5]], atol=2e-3)


def test_jacobians_of_constraints_are_exact():
    w, b, given = parameter([1.0, 2.0]), parameter([[3.0]]), {}

    class Recorder(ExternalOptimizerInterface):
        def _minimize(self, **keywords):
            given.update(keywords)
            return keywords["initial_val"]

    Recorder(lambda: w.sum(), [w, b], [lambda: w * b[0]], [lambda: w[1]]).minimize()
    x = np.array([1.0, 2.0, 3.0])
    assert given["equality_funcs"][0](x).tolist() == [3.0, 6.0]
    assert given["equality_grad_funcs"][0](x).tolist() == [[3, 0, 1], [0, 3, 2]]
    assert given["inequality_grad_funcs"][0](x).tolist() == [[0, 1, 0]]


# Bounds.


def bounds_of(given):
    a, b = parameter([0.5, 0.5]), parameter(0.5)
    seen = {}

    class Recorder(ExternalOptimizerInterface):
        def _minimize(self, initial_val, packed_bounds, **keywords):
            seen["bounds"] = packed_bounds
            return initial_val

    Recorder(lambda: a.sum() + b, [a, b], var_to_bounds=given(a, b)).minimize()
    return seen["bounds"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (lambda a, b: {a: (0, None)}, [(0, np.inf)] * 2 + [(-np.inf, np.inf)]),
        (lambda a, b: [(b, (0, 1))], [(-np.inf, np.inf)] * 2 + [(0, 1)]),
        (
            lambda a, b: [(torch.tensor([0.0, 0.25]), 1), None],
            [(0, 1), (0.25, 1), (-np.inf, np.inf)],
        ),
        (lambda a, b: ((0, [1, None]), (0, 3)), [(0, 1), (0, np.inf), (0, 3)]),
        (lambda a, b: (0, None), [(0, np.inf)] * 3),
        (lambda a, b: (np.float32(0), 1), [(0, 1)] * 3),
    ],
)
def test_the_ways_to_write_bounds(given, expected):
    assert bounds_of(given) == expected


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (lambda a, b: [(0, 1)] * 3, InvalidInputError, "3 bounds for 2 parameters"),
        (lambda a, b: {parameter(1.0): (0, 1)}, InvalidInputError, "not one of the 2"),
        (lambda a, b: [(a, (0, 1)), (a, (0, 1))], InvalidInputError, "twice"),
        (lambda a, b: {"weight": (0, 1)}, InvalidInputError, "not one of the 2"),
        (lambda a, b: (1, 0), CrossedBoundsError, "above"),
        (lambda a, b: {a: ([1, 2, 3], None)}, InvalidInputError, "broadcasts"),
        (lambda a, b: 3, InvalidInputError, "a dict"),
    ],
)
def test_bounds_that_cannot_be_used(given, error, words):
    with pytest.raises(error, match=words):
        bounds_of(given)


# Errors that name what is wrong.


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ([], "list\\(model.parameters"),
        ([torch.zeros(2)], "requires_grad_\\(\\)"),
        ([torch.zeros(2, dtype=torch.int64)], "real floats"),
        ([torch.zeros(2, dtype=torch.complex64, requires_grad=True)], "real floats"),
        ([torch.zeros(2, requires_grad=True) * 2], "leaf"),
        ([np.zeros(2)], "expected a tensor"),
    ],
)
def test_variables_that_cannot_be_used(variables, words):
    with pytest.raises(InvalidInputError, match=words):
        minimize(lambda: torch.zeros(()), variables)


def test_a_parameter_given_twice():
    w = parameter([1.0])
    with pytest.raises(InvalidInputError, match="twice"):
        minimize(lambda: w.sum(), [w, w])


def test_losses_that_cannot_be_used():
    w = parameter([1.0, 2.0])
    for loss, words in [
        (lambda: w, "sum it"),
        (lambda: w.detach().sum(), "does not depend on any parameter"),
        (lambda: 3.0, "does not depend on any parameter"),
        (w.sum(), "expected a function"),
    ]:
        with pytest.raises(InvalidInputError, match=words):
            minimize(loss, [w])
    with pytest.raises(InvalidInputError, match="expected a function"):
        ScipyOptimizerInterface(w.sum())

    def backward():
        loss = w.square().sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError) as caught:
        minimize(backward, [w])
    assert "not call backward" in caught.value.__notes__[0]
    assert w.tolist() == [1.0, 2.0]


def test_infinity_without_a_graph_says_that_a_point_is_no_good():
    w = parameter([2.0])

    def loss():
        return (w - w.log()).sum() if (w > 0).all() else float("inf")

    minimize(loss, [w], method="BFGS")
    np.testing.assert_allclose(w.detach(), 1, atol=1e-4)


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "Nelder-Mead"])
def test_a_start_at_infinity_is_named_and_left_as_it_is(method):
    w = parameter([0.0, 0.0])
    with pytest.raises(NonFiniteValueError, match="The loss is inf at the start"):
        minimize(lambda: (w.square() - w.log()).sum(), [w], method=method)
    assert w.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("method", ["L-BFGS-B", "SLSQP", "TNC", "BFGS", "CG", "trust-constr"])
def test_dropout_is_noise_however_exact_the_gradients_are(method):
    data = torch.arange(100.0).reshape(20, 5).sin().double()
    w = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    dropout = torch.nn.Dropout(0.3)
    torch.manual_seed(0)
    with pytest.warns(OptimizerWarning, match="The objective has noise"):
        result = minimize(
            lambda: (dropout(data) @ w - data.sum(1)).square().mean(), [w], method=method
        )
    assert (result.success, result.stop) == (False, StopReason.NOISE)


def test_what_the_method_cannot_honor_is_an_error_before_anything_is_evaluated():
    bowl = Bowl()
    with pytest.raises(CapabilityError, match="CG cannot honor bounds"):
        minimize(bowl, bowl.variables, (0, None), method="CG")
    with pytest.raises(CapabilityError, match="CG cannot honor constraints"):
        minimize(bowl, bowl.variables, optimizer=CG(), equalities=[bowl])
    assert bowl.calls == 0


# The interfaces.


def test_any_optimizer_with_callback_and_budget():
    bowl, history = Bowl(), History()
    result = minimize(
        lambda: bowl().square(), bowl.variables, optimizer=TNC(callback=history), maxfun=6
    )
    assert (result.nfev, result.stop) == (6, StopReason.MAXFUN)
    assert len(history.x) > 0
    np.testing.assert_array_equal(bowl.x().detach(), result.best.x)
    interface = OptimizerInterface(bowl, bowl.variables, optimizer=LBFGSB(timeout=1e-9))
    interface.minimize()
    assert interface.result_.stop is StopReason.TIMEOUT


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("pair", [(0.1, 0.3), (1 / 3, 2 / 3), (0.7, 0.9), (-0.9, -0.7), (0.7, 0.7)])
@pytest.mark.parametrize("method", ["L-BFGS-B", "Nelder-Mead"])
def test_parameters_of_few_digits_stay_inside_bounds_that_they_cannot_hold(dtype, pair, method):
    low, high = pair
    for sign in (-1, 1):
        w = parameter([(low + high) / 2] * 2, dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a start is outside, if it cannot be held
            minimize(lambda: sign * w.sum(), [w], bounds=[pair], method=method)  # noqa: B023
        values = w.detach().double()
        if low == high:
            assert values.tolist() == [float(torch.tensor(low).to(dtype))] * 2
        else:
            assert bool(((values >= low) & (values <= high)).all())
            nearest = low if sign > 0 else high
            np.testing.assert_allclose(values, nearest, rtol=1e-2)


def test_repeated_calls_go_on_from_the_parameters():
    w = parameter([-1.2, 1.0])
    interface = ScipyOptimizerInterface(lambda: rosenbrock(w), [w], options={"maxiter": 5})
    interface.minimize()
    first = interface.result_.fun
    interface.minimize()
    assert interface.result_.fun < first


TARGET = 1.0


@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG"])
@pytest.mark.parametrize("kind", [float, torch.tensor])
@pytest.mark.parametrize(
    "read",
    [lambda at: at["nested"][0].target, lambda at: at["entries"][0], lambda at: TARGET],
    ids=["nested attribute", "entry of a list", "global"],
)
def test_a_loss_that_has_changed_is_minimized_as_it_is(monkeypatch, method, kind, read):
    layer = SimpleNamespace(target=None)
    at = {"nested": [layer], "entries": [None]}
    w = torch.zeros(2, requires_grad=True)

    def loss():
        return (w - read(at)).square().sum()

    interface = ScipyOptimizerInterface(loss, [w], method=method)
    for target in (1.0, 2.0):
        layer.target = at["entries"][0] = kind(target)
        monkeypatch.setitem(globals(), "TARGET", kind(target))
        for run in (interface.minimize, lambda: minimize(loss, [w], method=method)):
            with torch.no_grad():
                w.fill_(5.0)
            run()
            np.testing.assert_allclose(w.detach(), target, atol=1e-4)


def test_fetches_are_arrays_of_their_own():
    w, seen = parameter([2.0, 3.0]), []
    half = torch.ones(1, dtype=torch.bfloat16)
    minimize(
        lambda: w.square().sum(),
        [w],
        fetches=[w, lambda: w[0] * 2, half, lambda: 7],
        loss_callback=lambda *fetched: seen.append(fetched),
    )
    assert seen[0][0].tolist() == [2.0, 3.0]
    assert seen[0][1] == 4.0
    assert seen[0][2].tolist() == [1.0]
    assert seen[0][3] == 7
    assert all(isinstance(value, np.ndarray) for value in seen[0])


def test_one_vector_leaves_the_device_for_each_evaluation(monkeypatch):
    # Without a device at hand: what is copied to the host goes through `cpu`, also from memory
    # that NumPy cannot have.
    moved, cpu, prepare = [], torch.Tensor.cpu, TorchBackend.prepare
    monkeypatch.setattr(
        TorchBackend, "prepare", lambda self, f: prepare(self, f) or setattr(self, "_memory", None)
    )
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: moved.append(self.shape) or cpu(self))
    bowl = Bowl()
    result = minimize(bowl, bowl.variables)
    assert moved == [(7,)] + [(8,)] * result.nfev


def test_one_vector_enters_the_device_for_each_evaluation():
    from torch.overrides import TorchFunctionMode

    class Spy(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is torch.Tensor.copy_:
                entered.append((args[0].device.type, args[1].device.type, args[1].shape))
            return function(*args, **(kwargs or {}))

    entered = []
    w = [torch.zeros(shape, device="meta", requires_grad=True) for shape in [(2,), (3,)]]
    backend = ExternalOptimizerInterface(lambda: w[0].sum(), w)._backend.bind(None, None, [], {})
    with Spy():
        backend.commit(np.zeros(5))
    assert entered == [("meta", "cpu", (5,))]


def test_importing_the_interfaces_does_not_import_torch():
    code = "import sys, optimizers.external; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# TorchOptimizer, in a loop as users of torch.optim.LBFGS write it.


def fitting(**given):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(1, 8, dtype=torch.float64),
        torch.nn.Tanh(),
        torch.nn.Linear(8, 1, dtype=torch.float64),
    )
    x = torch.linspace(-1, 1, 20, dtype=torch.float64).unsqueeze(1)
    y = torch.sin(3 * x)
    optimizer = TorchOptimizer(model.parameters(), **given)
    calls = []

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    return model, optimizer, closure, calls


def test_the_usual_loop():
    model, optimizer, closure, _ = fitting(optimizer=LBFGSB(maxiter=20))
    losses = [optimizer.step(closure) for _ in range(10)]
    assert all(torch.is_tensor(loss) and not loss.requires_grad for loss in losses)
    assert losses[-1] < 1e-3 * losses[0]
    assert [loss.item() for loss in losses] == sorted((x.item() for x in losses), reverse=True)
    assert optimizer.result_.fun == closure().item()
    assert all(p.grad is not None for p in model.parameters())


def test_it_goes_where_minimize_goes():
    model, optimizer, closure, _ = fitting(options={"maxiter": 30})
    other = copy.deepcopy(model)
    optimizer.step(closure)
    x = torch.linspace(-1, 1, 20, dtype=torch.float64).unsqueeze(1)
    minimize(
        lambda: torch.nn.functional.mse_loss(other(x), torch.sin(3 * x)),
        other.parameters(),
        options={"maxiter": 30},
    )
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_closure_that_forgets_zero_grad_is_none_the_worse():
    w = parameter([3.0, 4.0])
    optimizer = TorchOptimizer([w])

    def closure():
        loss = (w - 1).square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 13.0
    np.testing.assert_allclose(w.detach(), 1, atol=1e-6)


def test_groups_with_bounds_of_their_own():
    a, b, c = parameter([3.0, 3.0]), parameter(4.0), parameter(5.0)
    optimizer = TorchOptimizer(
        [{"params": [a], "bounds": (1, None)}, {"params": [b, c], "bounds": {c: (2, None)}}]
    )

    def closure():
        optimizer.zero_grad()
        loss = a.square().sum() + b.square() + c.square()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert held([a, b, c]) == [[1, 1], pytest.approx(0, abs=1e-8), 2]
    saved = optimizer.state_dict()
    assert saved["param_groups"][1]["bounds"] == [None, (2, None)]
    optimizer.load_state_dict(saved)
    with torch.no_grad():
        c.copy_(5.0)
    optimizer.step(closure)
    assert c.item() == 2
    with pytest.raises(InvalidInputError, match="'lr'"):
        TorchOptimizer([{"params": [parameter(1.0)], "lr": 1.0}])


def test_errors_of_the_constructor():
    w = parameter([1.0])
    with pytest.raises(CapabilityError, match="CG"):
        TorchOptimizer([w], bounds=(0, 1), method="CG")
    with pytest.raises(InvalidInputError, match="not one of the 1"):
        TorchOptimizer([w], bounds={parameter(1.0): (0, 1)})
    with pytest.raises(InvalidInputError, match="expected an Optimizer"):
        TorchOptimizer([w], optimizer="TNC")


@pytest.mark.parametrize("call", [1, 2, 4])
def test_an_exception_in_a_step_leaves_the_parameters_as_they_were(call):
    model, optimizer, closure, calls = fitting()
    before = copy.deepcopy(list(model.parameters()))

    def failing():
        loss = closure()
        if len(calls) == call:
            raise ZeroDivisionError
        return loss

    with pytest.raises(ZeroDivisionError):
        optimizer.step(failing)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    optimizer.step(closure)


def test_closures_that_cannot_be_used():
    w = parameter([1.0])
    optimizer = TorchOptimizer([w])
    with pytest.raises(InvalidInputError, match=r"loss\.backward"):
        optimizer.step(lambda: w.sum())
    with pytest.raises(InvalidInputError, match="expected a function"):
        optimizer.step()
    assert w.tolist() == [1.0]
    assert optimizer.result_ is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_second_order_methods_do_with_first_derivatives(dtype):
    w = parameter([0.0] * 5, dtype)
    optimizer = TorchOptimizer([w], method="Newton-CG")

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert_at_ones(w.detach(), 1e-3)


def test_a_parameter_that_the_closure_does_not_use():
    used, unused = parameter([1.0]), parameter([2.0])
    optimizer = TorchOptimizer([used, unused])

    def closure():
        optimizer.zero_grad()
        loss = used.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert unused.item() == 2.0
    assert unused.grad is None


def test_functions_without_a_return():
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(NoValueError, match="The loss returned None: is a return missing"):
        minimize(lambda: None, [w])
    with pytest.raises(NoValueError, match="A constraint returned None"):
        minimize(lambda: w @ w, [w], equalities=[lambda: None])
    with pytest.raises(NoValueError, match="The loss returned None: is a return missing"):
        TorchOptimizer([w]).step(lambda: (w @ w).backward())


def test_a_journal_is_of_one_run_and_a_step_is_one_each(tmp_path):
    w, path = torch.ones(2, requires_grad=True), tmp_path / "steps.jsonl"
    for given in ({"journal": path}, {"optimizer": LBFGSB(journal=path)}):
        with pytest.raises(InvalidInputError, match="each step is a separate run"):
            TorchOptimizer([w], **given)
    assert not path.exists()


def test_frozen_parameters_stay_as_torchs_own_optimizers_leave_them():
    free, frozen = parameter([3.0, 4.0]), torch.tensor([5.0], dtype=torch.float64)

    def loss():
        return (free - frozen).square().sum()

    for bounds in ([(None, 4.5), (0, 1)], {free: (None, 4.5), frozen: (0, 1)}, (None, 4.5)):
        result = minimize(loss, [free, frozen], bounds=bounds)
        assert result.x.tolist() == [4.5, 4.5]
        assert frozen.tolist() == [5.0]
    with pytest.raises(InvalidInputError, match="requires_grad_"):
        minimize(loss, [frozen])


@pytest.mark.parametrize("bounds", [None, (None, 4.5), [(None, 4.5), None]])
def test_frozen_parameters_in_a_step(bounds):
    free, other = parameter([3.0, 4.0]), parameter([2.0])
    optimizer = TorchOptimizer([{"params": [free, other], "bounds": bounds}])
    other.requires_grad_(False)

    def closure():
        optimizer.zero_grad()
        loss = (free - 5).square().sum() + other.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert other.tolist() == [2.0]
    np.testing.assert_allclose(free.detach(), 5.0 if bounds is None else 4.5)
    again = TorchOptimizer([free, other], bounds=bounds)
    again.step(closure)
    assert other.tolist() == [2.0]


def test_a_model_in_the_place_of_its_parameters():
    with pytest.raises(InvalidInputError, match=r"pass model\.parameters"):
        minimize(lambda: torch.zeros(()), torch.nn.Linear(2, 1))
    listed = torch.nn.ParameterList([torch.ones(2)])
    minimize(lambda: listed[0].square().sum(), listed)
    assert listed[0].abs().max() < 1e-4


def test_a_callback_goes_with_any_algorithm():
    w, seen = parameter([3.0, 4.0]), []
    minimize(lambda: w @ w, [w], callback=lambda intermediate_result: seen.append(1))
    minimize(lambda: w @ w, [w], callback=seen.append, method="BFGS", step_callback=seen.append)
    assert seen


@pytest.mark.parametrize("optimizer", [LBFGSB, NELDER_MEAD])
def test_a_journal_is_of_one_loss(tmp_path, optimizer):
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def run(loss):
        with torch.no_grad():
            w[:] = torch.tensor([3.0, 4.0])
        return minimize(loss, [w], optimizer=optimizer(maxfun=9), journal=tmp_path / "run.jsonl")

    first = run(lambda: (w - 1).square().sum())
    assert run(lambda: (w - 1).square().sum()).nreplayed == first.nfev
    with pytest.warns(OptimizerWarning, match="fun: its code changed since"):
        run(lambda: (w - 5).square().sum())
