"""Ray: its tasks behind the interface of an executor."""

import functools
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from typing_extensions import override

from optimizers.errors import MissingExtraError, WorkerDiedError
from optimizers.evaluation.starts import Register, Starts


class RayExecutor(Executor):
    """Submits tasks to Ray; ``workers=RayExecutor()``.

    Parameters
    ----------
    max_workers : int, optional
        How many tasks Ray gets at a time; by default the number of CPUs of the cluster.
    **options
        Options of ``ray.remote``, such as ``num_cpus`` and ``resources`` of a task.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    """

    def __init__(self, max_workers: int | None = None, **options: Any) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("RayExecutor needs Ray: pip install ray.") from error
        if not ray.is_initialized():
            ray.init()
        # Ray would retry a task whose worker died by itself; it must not, so that this is reported.
        self._remote = ray.remote(**{"max_retries": 0, **options})(_call)
        self.num_workers = max_workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def starts(self) -> Starts:
        """Return the register of the tasks of a run that have begun."""
        run = uuid.uuid4().hex
        begin = functools.partial(_begin, self._register, run)
        return Starts(begin, functools.partial(self._begun, run))

    @functools.cached_property
    def _register(self) -> Any:
        import ray

        return ray.remote(num_cpus=0)(Register).remote()

    def _begun(self, run: str) -> set[int]:
        import ray

        return set(ray.get(self._register.close.remote(run)))

    @override
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a task to Ray; see :class:`concurrent.futures.Executor`."""
        sent = self._remote.remote(fn, args, kwargs)
        home = _Sent(sent)
        sent.future().add_done_callback(home.bring)
        return home


def _begin(register: Any, run: str, number: int, deadline: float) -> bool:
    import ray

    return bool(ray.get(register.note.remote(run, number)))


class _Sent(Future[Any]):
    """A task that was sent: canceling ends it, but it has begun."""

    def __init__(self, sent: Any) -> None:
        super().__init__()
        self._sent = sent
        self.set_running_or_notify_cancel()

    @override
    def cancel(self) -> bool:
        """Kill the task's process, which Ray replaces; the task counts as begun."""
        import ray

        if not self.done():
            # Without force Ray interrupts Python code only, not a hanging C call.
            ray.cancel(self._sent, force=True)
        return False

    def bring(self, sent: Future[Any]) -> None:
        from ray.exceptions import RayTaskError, WorkerCrashedError

        error = sent.exception()
        if isinstance(error, WorkerCrashedError):
            died = WorkerDiedError("was sent to a Ray worker, which died")
            died.__cause__ = error
            self.set_exception(died)
        elif isinstance(error, RayTaskError):
            self.set_exception(error.cause)
        elif error is not None:
            self.set_exception(error)
        else:
            self.set_result(sent.result())


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)
