"""Results in words: the end of a run, the values from a journal, and the statistics of a fit."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from optimizers._shown import shown
from optimizers.covariance import chi2, dof, errors

#: Fits of more variables show their errors in one line, and those of very many none, to save time.
_EACH, _MOST = 10, 200


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
    """Return, in parentheses, how many values were there already; an empty string if none were."""
    count, known = getattr(result, "nreplayed", 0), getattr(result, "nknown", 0)
    words = [f"{count} of {result.nfev} from the journal"] * bool(count)
    words += [f"{known} more known before"] * bool(known)
    return f" ({', '.join(words)})" if words else ""


def fit_words(fit: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the statistics of a fit as names and words; an empty list if it is not a fit."""
    if fit.get("residuals") is None or fit.get("fun") is None:
        return []
    x, spare = np.ravel(fit.get("x_flat", fit["x"])), dof(fit)
    rows, notes = list[tuple[str, str]](), list[str]()
    names = fit.get("names") or [f"x[{i}]" for i in range(min(x.size, _MOST))]
    if x.size <= _MOST:
        found = errors(fit, tell=notes.append)
        held = [str(names[i]) for i in np.flatnonzero(fit.get("at_bound", ()))]
        if held and not np.isnan(found).all():
            notes.append(f"they ignore the bound on which the fit ends: {', '.join(held)}")
        if np.isnan(found).all():
            pass  # a warning says why
        elif x.size <= _EACH:
            columns = zip(names, x, found, strict=True)
            rows += [(str(name), with_error(*pair)) for name, *pair in columns]
        else:
            rows.append(("errors", shown(found)))
    each = f", {chi2(fit) / spare:.6g} for each of {spare} degrees of freedom" if spare > 0 else ""
    return [*rows, *(("errors", note) for note in notes), ("chi2", f"{chi2(fit):.6g}{each}")]


def with_error(value: float, error: float) -> str:
    """Return a value with its standard error, with the significant digits."""
    if not (math.isfinite(error) and error > 0 and value):
        return f"{value:.6g} +- {error:.2g}"
    digits = math.ceil(math.log10(abs(value) / error)) + 2
    return f"{value:.{min(max(digits, 2), 17)}g} +- {error:.2g}"


def adds_to(sentence: str, message: str) -> bool:
    """Return whether a result's message says more than why the run stopped."""
    return message.removeprefix("Stopped: ").rstrip(".").lower() != sentence.lower()
