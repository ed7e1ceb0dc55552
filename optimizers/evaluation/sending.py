"""An objective on its way to another process."""

import functools
import pickle
from collections.abc import Callable
from typing import Any

from optimizers.errors import InvalidInputError, MissingExtraError
from optimizers.evaluation.task import publish


class Function:
    """A function that workers know by its key, and its bytes for those that do not."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        self.fun = fun
        self.key = publish(fun)

    @functools.cached_property
    def payload(self) -> bytes:
        """The function, pickled when it is first needed."""
        return pickled(self.fun)


def not_loaded(fun: Callable[..., Any], error: BaseException | None) -> InvalidInputError:
    """Return the error for an objective that a worker process could not load."""
    failure = InvalidInputError(
        f"fun is {fun!r}, which a worker process cannot load ({error}): define it at the top level "
        "of a file, outside of 'if __name__ == \"__main__\":', or pip install "
        "'variational-optimizers[workers]'."
    )
    failure.__cause__ = error
    return failure


def pickled(fun: Callable[..., Any]) -> bytes:
    """Return an objective as bytes for another process.

    Raises
    ------
    InvalidInputError
        If it cannot be pickled.
    MissingExtraError
        If it is a lambda or closure and cloudpickle is not installed.
    """
    try:
        import cloudpickle as pickler
    except ImportError:
        pickler = pickle
    try:
        data: bytes = pickler.dumps(fun)
    except Exception as error:  # pickling runs code of the objective's own
        if pickler is pickle:
            raise MissingExtraError(
                f"fun is {fun!r}, which cannot be sent to another process without cloudpickle "
                f"({error}): pip install 'variational-optimizers[workers]', or define it at the "
                "top level of a module."
            ) from error
        raise InvalidInputError(
            f"fun is {fun!r}, which cannot be sent to another process ({error}): keep what cannot "
            "be pickled (open files, locks, connections) out of it, or use threads."
        ) from error
    return data
