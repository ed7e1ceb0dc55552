"""What our layers cost on top of a framework's own compiled value and gradient, in CPU time.

    python benchmarks/external.py [--n 100 100000] [--turns 15] [--framework tensorflow ...]

The loss is Rosenbrock's function of variables of several shapes, in single precision. ``raw`` is
the compiled value and gradient alone, left where the framework puts them. ``packed`` is ours
without a solver: a flat float64 vector in, the value and a flat gradient out, as NumPy has them.
``solver`` is L-BFGS-B on it, per evaluation, all that it takes to begin and end included, and what
is named after others is theirs.
Contestants take turns, so that the machine's drift hits all alike; the figures are medians, and
the ratios the medians over the turns of each / raw. ``bounds`` are the seconds of CPU time from a
bound for each element to what the solver takes.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait for each other blur times
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import Bounds

import optimizers
from optimizers.external.bounds import pack_bounds
from optimizers.external.frameworks import backend_for
from optimizers.external.solvers import ScipyOptimizerInterface
from optimizers.problem.bounds import as_bounds

#: A contestant: runs a number of evaluations, and returns how many they were.
Turn = Callable[[int], int]
OPTIONS = {"maxiter": 10_000, "maxcor": 10, "ftol": 0.0, "gtol": 0.0}


def shapes(n: int) -> list[tuple[int, ...]]:
    """Return the shapes of variables of ``n`` elements together: a scalar, a vector, matrices."""
    rows = n // 10
    return [(), (n - 1 - 4 * rows,), (2, rows), (rows, 2)]


def repeated(function: Callable[[], Any]) -> Turn:
    """Return a contestant that calls a function so many times."""

    def turn(count: int) -> int:
        for _ in range(count):
            function()
        return count

    return turn


def ours(
    loss: Any, variables: list[Any], reset: Callable[[], Any], **session: Any
) -> dict[str, Turn]:
    """Return our contestants, without and with a solver."""
    backend = backend_for(loss, variables, [], False)
    bound = backend.bind(session.get("session"), None, [], {})
    x = np.random.default_rng(0).uniform(-0.5, 0.5, backend.packing.size)

    def solve(count: int) -> int:
        reset()
        interface = ScipyOptimizerInterface(loss, variables, options={**OPTIONS, "maxfun": count})
        interface.minimize(**session)
        return interface.result_.nfev

    return {"packed": repeated(lambda: bound.loss_grad(x)), "solver": solve}


def bounds_time(loss: Any, variables: list[Any], pairs: list[Any]) -> float:
    """Return the seconds that bounds take, packed and in the form that the solver takes."""
    backend = backend_for(loss, variables, [], False)
    given = list(zip(variables, pairs, strict=True)) if variables else pairs  # a pytree, of JAX's
    began = time.process_time()
    lower, upper = pack_bounds(backend.packing, backend.match(given))
    as_bounds(Bounds(lower, upper), backend.packing.size)
    return time.process_time() - began


def tensorflow(n: int) -> tuple[dict[str, Turn], float]:
    import tensorflow as tf

    starts = [np.zeros(shape, np.float32) for shape in shapes(n)]
    variables = [tf.Variable(start) for start in starts]

    def loss() -> Any:
        x = tf.concat([tf.reshape(variable, [-1]) for variable in variables], 0)
        return tf.reduce_sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def raw() -> Any:
        with tf.GradientTape() as tape:
            value = loss()
        return value, tape.gradient(value, variables)

    def reset() -> None:
        for variable, start in zip(variables, starts, strict=True):
            variable.assign(start)

    turns = {"raw": repeated(tf.function(raw).get_concrete_function())}
    turns |= ours(loss, variables, reset)
    try:
        import gpflow
    except ImportError:
        pass
    else:
        scipys, closure = gpflow.optimizers.Scipy(), tf.function(loss)

        def solve(count: int) -> int:
            reset()
            options = {**OPTIONS, "maxfun": count}
            return int(scipys.minimize(closure, variables, compile=False, options=options).nfev)

        turns["gpflow"] = solve
    pairs = [(np.full(shape, -9.0), np.full(shape, 9.0)) for shape in shapes(n)]
    return turns, bounds_time(loss, variables, pairs)


def graph(n: int) -> tuple[dict[str, Turn], float]:
    """TensorFlow's graph mode."""
    import tensorflow as tf

    with tf.Graph().as_default():
        variables = [tf.compat.v1.Variable(np.zeros(s, np.float32)) for s in shapes(n)]
        x = tf.concat([tf.reshape(variable, [-1]) for variable in variables], 0)
        loss = tf.reduce_sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
        tensors = [loss, *tf.gradients(loss, variables)]
        start = tf.compat.v1.global_variables_initializer()
        session = tf.compat.v1.Session()
        session.run(start)
        turns = {"raw": repeated(lambda: session.run(tensors))}
        turns |= ours(loss, variables, lambda: session.run(start), session=session)
        pairs = [(np.full(shape, -9.0), np.full(shape, 9.0)) for shape in shapes(n)]
        return turns, bounds_time(loss, variables, pairs)


def torch(n: int) -> tuple[dict[str, Turn], float]:
    import torch

    torch.set_num_threads(1)
    variables = [torch.zeros(shape, requires_grad=True) for shape in shapes(n)]

    def loss() -> Any:
        x = torch.cat([variable.reshape(-1) for variable in variables])
        return torch.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def reset() -> None:
        with torch.no_grad():
            for variable in variables:
                variable.zero_()

    turns = {"raw": repeated(lambda: torch.autograd.grad(loss(), variables))}
    turns |= ours(loss, variables, reset)
    try:
        from torchmin import ScipyMinimizer
    except ImportError:
        pass
    else:
        options: dict[str, Any] = dict(OPTIONS)
        theirs = ScipyMinimizer(variables, method="l-bfgs-b", options=options)

        def closure() -> Any:
            theirs.zero_grad()
            value = loss()
            value.backward()
            return value

        def solve(count: int) -> int:
            reset()
            options["maxfun"] = count
            theirs.step(closure)
            return int(theirs._result.nfev)

        turns["pytorch-minimize"] = solve
    pairs = [(np.full(shape, -9.0), np.full(shape, 9.0)) for shape in shapes(n)]
    return turns, bounds_time(loss, variables, pairs)


def jax(n: int) -> tuple[dict[str, Turn], float]:
    import jax
    import jax.numpy as jnp

    from optimizers.external.jax.backend import JaxBackend

    params = [jnp.zeros(shape) for shape in shapes(n)]

    def loss(params: Any) -> Any:
        x = jnp.concatenate([leaf.reshape(-1) for leaf in params])
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    compiled = jax.jit(jax.value_and_grad(loss))
    turns = {"raw": repeated(lambda: jax.block_until_ready(compiled(params)))}
    backend = JaxBackend(loss, params, (), False, [])
    turns |= ours(backend, [], lambda: None)
    try:
        from jaxopt import ScipyMinimize
    except ImportError:
        pass
    else:
        options = {name: value for name, value in OPTIONS.items() if name != "maxiter"}
        maxiter = OPTIONS["maxiter"]
        made: dict[int, Any] = {}

        def solve(count: int) -> int:
            if count not in made:  # each compiles anew
                given = {**options, "maxfun": count}
                made[count] = ScipyMinimize(
                    fun=loss, method="L-BFGS-B", maxiter=maxiter, options=given
                )
            return int(made[count].run(params).state.num_fun_eval)

        turns["jaxopt"] = solve
    bounds = [(np.full(shape, -9.0), np.full(shape, 9.0)) for shape in shapes(n)]
    return turns, bounds_time(backend, [], bounds)


#: A line for each framework: its name and what makes its contestants.
FRAMEWORKS = {"tensorflow": tensorflow, "tensorflow graph": graph, "torch": torch, "jax": jax}


def measured(turns: dict[str, Turn], count: int, repeats: int) -> dict[str, list[float]]:
    """Return microseconds of CPU time per evaluation, of each contestant in each turn."""
    times: dict[str, list[float]] = {name: [] for name in turns}
    for repeat in range(repeats + 1):
        for name, turn in turns.items():
            began = time.process_time_ns()
            done = turn(count)
            if repeat:  # the first turn warms up
                times[name].append((time.process_time_ns() - began) / done / 1e3)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, nargs="+", default=[100, 100_000])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--framework", nargs="+", default=list(FRAMEWORKS))
    given = parser.parse_args()
    print(f"optimizers {optimizers.__version__}: CPU microseconds per evaluation, and over raw")
    for framework in given.framework:
        for n in given.n:
            try:
                turns, bounds = FRAMEWORKS[framework](n)
            except ImportError as error:
                print(f"{framework:<17} n={n:<7} {error}")
                break
            times = measured(turns, max(100, 30_000 // n), given.turns)
            raw = times["raw"]
            cells = [
                f"{name} {statistics.median(t):8.1f} "
                f"({statistics.median(a / b for a, b in zip(t, raw, strict=True)):.2f})"
                for name, t in times.items()
            ]
            print(f"{framework:<17} n={n:<7} {'  '.join(cells)}  bounds {bounds:.4f} s", flush=True)


if __name__ == "__main__":
    main()
