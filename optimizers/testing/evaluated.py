"""Checks of who evaluates: groups, workers, a caller, runs in lock-step, a journal."""

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.asktell import TellData
from optimizers.errors import NonFiniteValueError
from optimizers.evaluation import vectorized
from optimizers.lockstep.starts import seeds_from
from optimizers.result import StopReason
from optimizers.support import SupportLevel
from optimizers.testing.bowl import START, Bowl
from optimizers.testing.trial import (
    Factory,
    level,
    need_run,
    raised,
    required,
    run,
    same,
    stack_for,
    takes_setting,
)

_ASK_THE_RUN = (
    "Call no function of the user's, and depend on no state but the run's: ask the run, or yield "
    "questions, and draw from run.rng."
)


def check_groups(make: Factory) -> None:
    """Check that groups and stacks of points give the serial result to the last bit."""
    need_run(make(), "an objective of groups or stacks of points")
    serial = run(make(), Bowl())
    stacked = Bowl()

    @vectorized
    def stack(points: Array) -> Array:
        assert points.ndim == 2, "The objective is vectorized: let the run call it."
        return np.array([stacked(point) for point in points])

    def flat(points: Array) -> Any:
        return [Bowl.exact(point) for point in points.reshape(-1, len(START))]

    grouped = make()
    grouped.set_max_evals_grouped(2)
    for optimizer, fun, how in ((make(), stack, "in stacks"), (grouped, flat, "in groups")):
        result = run(optimizer, fun)
        # Some methods take more points in fewer calls where a call takes several.
        same(result.x, serial.x, f"Points {how} lead to another end. {_ASK_THE_RUN}")


def check_workers(make: Factory) -> None:
    """Check that threads, and coroutines, give the serial result to the last bit."""
    serial = run(make(), Bowl())
    bowl = Bowl()
    with ThreadPoolExecutor(2 * len(START) + 1) as pool:
        result = run(make(), bowl, workers=pool)
        same(result.x, serial.x, f"Workers lead to another end. {_ASK_THE_RUN}")
        assert result.nfev == len(bowl.points), "nfev is not the number of points evaluated."
        error = raised(
            NonFiniteValueError,
            lambda: run(make(), Bowl(fail_at=3), workers=pool),
            "a worker returned NaN, and the run went on.",
        )
        assert error.optimizer_result.stop is StopReason.FAILED, "stop must say that it failed."
        # The pool is the caller's.
        assert pool.submit(abs, -1).result() == 1, "Leave the pool of workers open."

    async def awaited(x: Array) -> float:
        await asyncio.sleep(0)
        return Bowl.exact(x)

    async def gradient(x: Array) -> Array:
        return Bowl().jac(x)

    optimizer = make()
    jac = gradient if optimizer.is_gradient_required else None
    given = required(optimizer)  # a Hessian is not awaited
    result = asyncio.run(optimizer.minimize_async(awaited, list(START), jac, **given))
    same(result.x, serial.x, f"Coroutines lead to another end. {_ASK_THE_RUN}")


def check_stepper(make: Factory) -> None:
    """Check that a loop of ask and tell gives the result of ``minimize`` to the last bit."""
    optimizer = make()
    jac: Any = True if level(optimizer, "gradient") == SupportLevel.required else None
    alone = run(optimizer, stack_for(optimizer))
    with optimizer.stepper(list(START), jac, **required(optimizer)) as stepper:
        for ask in stepper:
            gradients = None if ask.x_jac is None else [Bowl().jac(x) for x in ask.x_jac]
            points = ask.x_fun if ask.x_fun is not None else ()
            stepper.tell(ask, TellData([Bowl.exact(x) for x in points], gradients))
        result = stepper.result()
    same(result.x, alone.x, f"Asking and telling leads to another end. {_ASK_THE_RUN}")
    for name in ("fun", "success", "stop"):
        assert result[name] == alone[name], f"{name} is another where the caller evaluates."


def check_lockstep(make: Factory) -> None:
    """Check that runs in lock-step give the results of each alone to the last bit."""
    optimizer = make()
    is_required = level(optimizer, "gradient") == SupportLevel.required
    jac = Bowl().jac if is_required else None
    needed = required(optimizer)
    needed |= {"maxfun": 200} if takes_setting(optimizer, "maxfun") else {}
    starts = np.array([START, (0.9, -1.1, 0.2), (0.0, 0.0, 0.0)])
    for fun in (Bowl.exact, stack_for(optimizer)):
        together = optimizer.minimize_many(fun, starts, jac, **needed)
        for start, seed, result in zip(starts, seeds_from(7), together, strict=False):
            seeded = {"seed": seed} if "seed" in needed else {}
            alone = run(optimizer, fun, jac, x0=start, **{**needed, **seeded})
            same(result.x, alone.x, f"A run among others ends elsewhere. {_ASK_THE_RUN}")
            for name in ("fun", "nfev", "njev", "nit", "success", "message", "stop"):
                assert result[name] == alone[name], f"{name} of a run among others is another."


def check_journal(make: Factory) -> None:
    """Check that a run goes on from its journal: nothing is evaluated twice, nothing differs."""
    whole = Bowl()
    expected = run(make(), whole)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        run(make(), Bowl(), journal=path)
        assert path.exists(), "minimize took journal=... and wrote no file: do not take it."
        lines = path.read_text().splitlines(keepends=True)
        for kept in (1, 2, len(lines) // 2, len(lines)):  # the header is the first
            path.write_text("".join(lines[:kept]))
            bowl = Bowl()
            result = run(make(), bowl, journal=path)
            same(result.x, expected.x, f"A run that goes on ends elsewhere. {_ASK_THE_RUN}")
            assert result.nfev == expected.nfev, "What is in the journal counts in nfev, once."
            rest = whole.points[len(whole.points) - len(bowl.points) :]
            same(bowl.points, rest, f"A run that goes on takes another way. {_ASK_THE_RUN}")
        assert not bowl.points, "What is in the journal was evaluated again."
