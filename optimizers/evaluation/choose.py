"""The choice of the evaluator for a run."""

from collections.abc import Callable, Mapping
from typing import Any

from optimizers.errors import OptionError
from optimizers.evaluation.evaluator import Evaluator, check_group
from optimizers.evaluation.executors import DaemonExecutor, Workers, is_pool
from optimizers.evaluation.mapped import MapEvaluator
from optimizers.evaluation.marks import is_vectorized
from optimizers.evaluation.task import Form


def check_workers(group: int | None, workers: Any) -> None:
    """Raise an OptionError if the size of groups, or the workers, cannot be used."""
    if is_pool(workers):
        check_group(group)
    else:
        evaluator_for(check_workers, group, workers)


def evaluator_by(
    fun: Callable[..., Any],
    group: int | None,
    settings: Mapping[str, Any],
    group_form: Form = "flat",
) -> Evaluator:
    """Return the evaluator for the settings of a run, under the users' names."""
    known: dict[str, Any] = {name: settings.get(name) for name in ("workers", "eval_timeout")}
    retries, hedge = settings.get("retries") or 0, bool(settings.get("hedge"))
    return evaluator_for(fun, group, group_form=group_form, **known, retries=retries, hedge=hedge)


def evaluator_for(
    fun: Callable[..., Any],
    group: int | None = 1,
    workers: Any = None,
    *,
    group_form: Form = "flat",
    eval_timeout: float | None = None,
    retries: int = 0,
    hedge: bool = False,
) -> Evaluator:
    """Return the evaluator for the settings of a run; it starts no worker before its first wave."""
    is_stacked = isinstance(workers, str)
    if is_pool(workers):
        pool = Workers(workers, is_vectorized(fun))
    elif callable(workers):
        if eval_timeout is not None or hedge:
            raise OptionError(
                "workers is map-like, which supports neither eval_timeout nor hedge, since all "
                "answers come at once: pass the executor itself, or a callable that makes one."
            )
        return MapEvaluator(fun, group, workers, retries=retries)
    elif eval_timeout is not None:
        # What runs in this thread cannot be abandoned: it runs in another.
        pool = Workers(DaemonExecutor, is_stacked or is_vectorized(fun))
    else:
        forms: dict[str, Any] = {"is_stacked": is_stacked, "group_form": group_form}
        return Evaluator(fun, group, **forms, retries=retries)
    # Here, since it imports asyncio, and most programs have no workers.
    from optimizers.evaluation.pool import PoolEvaluator

    further: dict[str, Any] = {"eval_timeout": eval_timeout, "retries": retries, "hedge": hedge}
    return PoolEvaluator(fun, group, pool, group_form=group_form, **further)
