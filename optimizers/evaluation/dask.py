"""Dask: a client as an executor whose tasks leave nothing behind on the cluster."""

import functools
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from typing_extensions import override

from optimizers.errors import OptionError, WorkerDiedError
from optimizers.evaluation.starts import Register, Starts

# About the tasks that this process, a Dask worker, begins.
_REGISTER = Register()


def _begin(run: str, number: int, deadline: float) -> bool:
    return _REGISTER.note(run, number)


def _close(run: str) -> set[int]:
    """Return which tasks of a run this process has begun; it will begin no others."""
    return _REGISTER.close(run)


class DaskExecutor(Executor):
    """Submits tasks to a Dask client; the keywords are for ``client.submit``.

    Dask's own executor can cancel a running task; here a task that was sent has begun.
    """

    def __init__(self, client: Any, **keywords: Any) -> None:
        if client.asynchronous:
            raise OptionError(
                "workers is an asynchronous Dask client, expected a synchronous one: create "
                "Client(address) outside of the event loop."
            )
        self._client = client
        # Never pure: Dask would reuse the first of two evaluations at the same point.
        self._keywords = {**keywords, "pure": False}
        self._sent: dict[Future[Any], Any] = {}
        #: How many tasks run at the same time; None if that is not known: while there are no
        #: workers, as on a cluster that scales on demand, or if only some may be used.
        self.num_workers: int | None = None
        if not keywords:
            self.num_workers = sum(client.nthreads().values()) or None

    @override
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a task to the cluster; see :class:`concurrent.futures.Executor`."""
        home: Future[Any] = Future()
        home.set_running_or_notify_cancel()
        sent = self._client.submit(fn, *args, **kwargs, **self._keywords)
        self._sent[home] = sent
        self._client.loop.add_callback(self._bring, sent, home)
        return home

    def cancel(self) -> None:
        """Take back what is not done; tasks that are running still finish."""
        sent = list(self._sent.values())
        if sent:
            self._client.cancel(sent)

    def starts(self) -> Starts:
        """Return the register of the tasks of a run that have begun."""
        run = uuid.uuid4().hex
        return Starts(functools.partial(_begin, run), functools.partial(self._begun, run))

    def _begun(self, run: str) -> set[int]:
        try:
            found: dict[str, set[int]] = self._client.run(_close, run)
        except OSError:  # the cluster is gone
            return set()
        return set().union(*found.values())

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take back what is not done, and close the client."""
        self.cancel()
        self._client.close()

    async def _bring(self, sent: Any, home: Future[Any]) -> None:
        """Fetch a result from the cluster, and let the cluster forget it at once.

        If it stayed there, and its worker died, Dask would evaluate the point once more.
        """
        from distributed import CancelledError, KilledWorker

        try:
            try:
                outcome = await sent
            except KilledWorker as error:
                count = error.allowed_failures + 1
                raise WorkerDiedError(
                    f"was sent to {count} Dask workers, which all died"
                ) from error
            except CancelledError as error:
                raise WorkerDiedError(f"is lost: Dask canceled it ({error})") from error
        except BaseException as error:
            home.set_exception(error)
        else:
            home.set_result(outcome)
        finally:
            self._sent.pop(home, None)
            sent.release()


def is_dask(given: Any) -> bool:
    """Return whether ``workers`` is a Dask client, or an executor that one made."""
    clients = getattr(given, "_client", None) if isinstance(given, Executor) else None
    return _is_client(given) or _is_client(clients)


def dask_executor(given: Any) -> DaskExecutor:
    """Return the executor for a Dask client, or for an executor that a client made."""
    if _is_client(given):
        return DaskExecutor(given)
    keywords = {name: value for name, value in given._kwargs.items() if name != "pure"}
    return DaskExecutor(given._client, **keywords)


def _is_client(given: Any) -> bool:
    return callable(getattr(given, "get_executor", None)) and hasattr(given, "nthreads")
