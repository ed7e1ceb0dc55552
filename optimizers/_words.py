"""Results in words: how a run ended, and what came from a journal."""

from typing import Any


def in_words(name: str, result: Any) -> str:
    """Return how a run of an optimizer of that name ended, in a few lines."""
    return (
        f"{name}: {result.message}\n"
        f"    stop: {result.stop.name}\n"
        f"    fun: {result.fun!r}\n"
        f"    iterations: {result.nit}, points evaluated: {result.nfev}{replayed_words(result)}, "
        f"gradients: {result.njev}"
    )


def replayed_words(result: Any) -> str:
    """Return, in parentheses, how many values came from a journal; an empty string if none did."""
    count = getattr(result, "nreplayed", 0)
    return f" ({count} of {result.nfev} from the journal)" if count else ""
