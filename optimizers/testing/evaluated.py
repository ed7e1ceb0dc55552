"""Checks of evaluators: groups, workers, a caller, lock-step, a journal."""

import asyncio
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.asktell import TellData
from optimizers.errors import CapabilityError, NonFiniteValueError, OptimizerWarning
from optimizers.evaluation import vectorized
from optimizers.lockstep.many import seeds_from
from optimizers.result import StopReason
from optimizers.testing.bowl import START
from optimizers.testing.trial import (
    Factory,
    alike,
    bowl_for,
    need_run,
    raised,
    required,
    run,
    same,
    stack_for,
    start_for,
    takes_setting,
)

_ASK = "Do not call the user's functions: ask the run, or yield questions, and draw from run.rng."


def check_groups(make: Factory) -> None:
    """Check that groups and stacks of points give the serial result to the last bit."""
    kind = bowl_for(make())
    need_run(make(), "an objective of groups or stacks of points")
    serial = run(make(), kind())
    stacked = kind()

    @vectorized
    def stack(points: Array) -> Array:
        assert points.ndim == 2, "The objective is vectorized: let the run call it."
        return np.array([stacked(point) for point in points])

    def flat(points: Array) -> Any:
        return [kind.told(point) for point in points.reshape(-1, len(START))]

    grouped = make()
    grouped.set_max_evals_grouped(2)
    for optimizer, fun, how in ((make(), stack, "in stacks"), (grouped, flat, "in groups")):
        # Only the ends: some methods use more points in fewer calls if a call takes several.
        alike(run(optimizer, fun), serial, ("x",), f"This happens with points {how}. {_ASK}")


def check_workers(make: Factory) -> None:
    """Check that threads, and coroutines, give the serial result to the last bit."""
    kind = bowl_for(make())
    serial = run(make(), kind())
    bowl = kind()
    with ThreadPoolExecutor(2 * len(START) + 1) as pool:
        result = run(make(), bowl, workers=pool)
        alike(result, serial, ("x",), f"This happens with workers. {_ASK}")
        assert result.nfev == len(bowl.points), "nfev is not the number of points evaluated."
        fail = partial(run, make(), kind(fail_at=3), workers=pool)
        error = raised(NonFiniteValueError, fail, "a worker returned NaN, but the run continued.")
        assert error.optimizer_result.stop is StopReason.FAILED, "stop must be StopReason.FAILED."
        # The pool is the caller's.
        assert pool.submit(abs, -1).result() == 1, "Do not shut down the caller's pool."

    async def awaited(x: Array) -> Any:
        await asyncio.sleep(0)
        return kind.told(x)

    async def gradient(x: Array) -> Array:
        return kind().jac(x)

    optimizer = make()
    jac = gradient if optimizer.is_gradient_required else None
    given = required(optimizer)  # a Hessian is not awaited
    result = asyncio.run(optimizer.minimize_async(awaited, start_for(optimizer), jac, **given))
    alike(result, serial, ("x",), f"This happens with coroutines. {_ASK}")


def check_stepper(make: Factory) -> None:
    """Check that a loop of ask and tell gives the result of ``minimize`` to the last bit."""
    kind = bowl_for(make())
    optimizer = make()
    jac: Any = optimizer.is_gradient_required or None
    alone = run(optimizer, stack_for(optimizer))
    with optimizer.stepper(start_for(optimizer), jac, **required(optimizer)) as stepper:
        for ask in stepper:
            gradients = None if ask.x_jac is None else [kind().jac(x) for x in ask.x_jac]
            points = ask.x_fun if ask.x_fun is not None else ()
            stepper.tell(ask, TellData([kind.told(x) for x in points], gradients))
        result = stepper.result()
    names = ("x", "fun", "success", "stop")
    alike(result, alone, names, f"This happens if the caller evaluates. {_ASK}")


def check_lockstep(make: Factory) -> None:
    """Check that runs in lock-step give the results of each alone to the last bit."""
    kind = bowl_for(make())
    optimizer = make()
    jac = kind().jac if optimizer.is_gradient_required else None
    needed = required(optimizer)
    needed |= {"maxfun": 200} if takes_setting(optimizer, "maxfun") else {}
    starts = np.array([START, (0.9, -1.1, 0.2), (0.0, 0.0, 0.0)])
    for fun in (kind.told, stack_for(optimizer)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizerWarning)  # starts may be ignored
            together = optimizer.minimize_many(fun, starts, jac, **needed)
        for start, seed, result in zip(starts, seeds_from(7), together, strict=False):
            seeded = {"seed": seed} if "seed" in needed else {}
            alone = run(optimizer, fun, jac, x0=start, **{**needed, **seeded})
            names = ("x", "fun", "nfev", "njev", "nit", "success", "message", "stop")
            alike(result, alone, names, f"This happens in lock-step. {_ASK}")


def check_journal(make: Factory) -> None:
    """Check that a run resumes from its journal: nothing is evaluated twice, nothing differs."""
    kind = bowl_for(make())
    whole = kind()
    expected = run(make(), whole)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        run(make(), kind(), journal=path)
        assert path.exists(), "minimize accepted journal=... but wrote no file: do not accept it."
        lines = path.read_text().splitlines(keepends=True)
        for kept in (1, 2, len(lines) // 2, len(lines)):  # the header is the first
            path.write_text("".join(lines[:kept]))
            bowl = kind()
            result = run(make(), bowl, journal=path)
            alike(result, expected, ("x", "nfev"), f"This happens in a resumed run. {_ASK}")
            rest = whole.points[len(whole.points) - len(bowl.points) :]
            same(bowl.points, rest, f"A resumed run takes another path. {_ASK}")
        assert not bowl.points, "Recorded points were evaluated again."


def check_structure(make: Factory) -> None:
    """Check that a start of two dimensions, and a scale of one, do not change the run."""
    need_run(make(), "a start in a structure")
    bowl, tall = (bowl_for(make())() for _ in range(2))
    expected = run(make(), bowl)
    jac = (lambda x: tall.jac(x.ravel())) if make().is_gradient_required else None
    words = "Use x0 and bounds of the problem, and evaluate only through the run."
    result = run(make(), lambda x: tall(x.ravel()), jac, x0=np.reshape(START, (-1, 1)))
    same(tall.points, bowl.points, f"With a structure, different points were evaluated. {words}")
    alike(result, expected, ("fun", "nfev", "njev", "nit"), words)
    same(result.x, np.reshape(expected.x, (-1, 1)), f"x differs. {words}")
    try:
        result = run(make(), bowl_for(make())(), scale=1.0)
    except CapabilityError:  # variables are angles to it
        return
    alike(result, expected, ("x", "fun", "nfev", "njev", "nit"), words)
