"""Checks of who evaluates: groups, workers, a caller, runs in lock-step, a journal."""

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.asktell import TellData
from optimizers.errors import CapabilityError, NonFiniteValueError
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
    takes_setting,
)

_ASK = "Call no function of the user's: ask the run, or yield questions, and draw from run.rng."


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
        # The ends alone: some methods take more points in fewer calls where a call takes several.
        alike(run(optimizer, fun), serial, ("x",), f"That is with points {how}. {_ASK}")


def check_workers(make: Factory) -> None:
    """Check that threads, and coroutines, give the serial result to the last bit."""
    kind = bowl_for(make())
    serial = run(make(), kind())
    bowl = kind()
    with ThreadPoolExecutor(2 * len(START) + 1) as pool:
        result = run(make(), bowl, workers=pool)
        alike(result, serial, ("x",), f"That is with workers. {_ASK}")
        assert result.nfev == len(bowl.points), "nfev is not the number of points evaluated."
        fail = partial(run, make(), kind(fail_at=3), workers=pool)
        error = raised(NonFiniteValueError, fail, "a worker returned NaN, and the run went on.")
        assert error.optimizer_result.stop is StopReason.FAILED, "stop must say that it failed."
        # The pool is the caller's.
        assert pool.submit(abs, -1).result() == 1, "Leave the pool of workers open."

    async def awaited(x: Array) -> Any:
        await asyncio.sleep(0)
        return kind.told(x)

    async def gradient(x: Array) -> Array:
        return kind().jac(x)

    optimizer = make()
    jac = gradient if optimizer.is_gradient_required else None
    given = required(optimizer)  # a Hessian is not awaited
    result = asyncio.run(optimizer.minimize_async(awaited, list(START), jac, **given))
    alike(result, serial, ("x",), f"That is with coroutines. {_ASK}")


def check_stepper(make: Factory) -> None:
    """Check that a loop of ask and tell gives the result of ``minimize`` to the last bit."""
    kind = bowl_for(make())
    optimizer = make()
    jac: Any = optimizer.is_gradient_required or None
    alone = run(optimizer, stack_for(optimizer))
    with optimizer.stepper(list(START), jac, **required(optimizer)) as stepper:
        for ask in stepper:
            gradients = None if ask.x_jac is None else [kind().jac(x) for x in ask.x_jac]
            points = ask.x_fun if ask.x_fun is not None else ()
            stepper.tell(ask, TellData([kind.told(x) for x in points], gradients))
        result = stepper.result()
    names = ("x", "fun", "success", "stop")
    alike(result, alone, names, f"That is where the caller evaluates. {_ASK}")


def check_lockstep(make: Factory) -> None:
    """Check that runs in lock-step give the results of each alone to the last bit."""
    kind = bowl_for(make())
    optimizer = make()
    jac = kind().jac if optimizer.is_gradient_required else None
    needed = required(optimizer)
    needed |= {"maxfun": 200} if takes_setting(optimizer, "maxfun") else {}
    starts = np.array([START, (0.9, -1.1, 0.2), (0.0, 0.0, 0.0)])
    for fun in (kind.told, stack_for(optimizer)):
        together = optimizer.minimize_many(fun, starts, jac, **needed)
        for start, seed, result in zip(starts, seeds_from(7), together, strict=False):
            seeded = {"seed": seed} if "seed" in needed else {}
            alone = run(optimizer, fun, jac, x0=start, **{**needed, **seeded})
            names = ("x", "fun", "nfev", "njev", "nit", "success", "message", "stop")
            alike(result, alone, names, f"That is of a run among others. {_ASK}")


def check_journal(make: Factory) -> None:
    """Check that a run goes on from its journal: nothing is evaluated twice, nothing differs."""
    kind = bowl_for(make())
    whole = kind()
    expected = run(make(), whole)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        run(make(), kind(), journal=path)
        assert path.exists(), "minimize took journal=... and wrote no file: do not take it."
        lines = path.read_text().splitlines(keepends=True)
        for kept in (1, 2, len(lines) // 2, len(lines)):  # the header is the first
            path.write_text("".join(lines[:kept]))
            bowl = kind()
            result = run(make(), bowl, journal=path)
            alike(result, expected, ("x", "nfev"), f"That is of a run that goes on. {_ASK}")
            rest = whole.points[len(whole.points) - len(bowl.points) :]
            same(bowl.points, rest, f"A run that goes on takes another way. {_ASK}")
        assert not bowl.points, "What is in the journal was evaluated again."


def check_structure(make: Factory) -> None:
    """Check that a start of two dimensions, and a scale of one, change nothing but the words."""
    need_run(make(), "a start in a structure")
    bowl, tall = (bowl_for(make())() for _ in range(2))
    expected = run(make(), bowl)
    jac = (lambda x: tall.jac(x.ravel())) if make().is_gradient_required else None
    words = "Take x0 and bounds from the problem, and evaluate by the run alone."
    result = run(make(), lambda x: tall(x.ravel()), jac, x0=np.reshape(START, (-1, 1)))
    same(tall.points, bowl.points, f"In a structure other points were asked for. {words}")
    alike(result, expected, ("fun", "nfev", "njev", "nit"), words)
    same(result.x, np.reshape(expected.x, (-1, 1)), f"x is another. {words}")
    try:
        result = run(make(), bowl_for(make())(), scale=1.0)
    except CapabilityError:  # variables are angles to it
        return
    alike(result, expected, ("x", "fun", "nfev", "njev", "nit"), words)
