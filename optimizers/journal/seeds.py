"""Seeds: what a journal keeps of them, for a resumed run to draw the same numbers."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers.journal.header import plain


def seed_entry(seed: Any) -> dict[str, Any]:
    """Return what a header keeps of a run's seed; without one, a seed is drawn.

    Parameters
    ----------
    seed : None, int, sequence of int, Generator or what else ``numpy.random.default_rng`` takes
        What the user gave. A generator is not advanced.

    Returns
    -------
    dict
        ``given``, if it can be compared, or ``drawn``, or the ``state`` of a generator.
    """
    if seed is None:
        return {"drawn": int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)}
    if isinstance(seed, int | np.integer):
        return {"given": int(seed)}
    if isinstance(seed, list | tuple | np.ndarray):
        return {"given": plain(list(seed))}
    generator = np.random.default_rng(copy.deepcopy(seed))
    return {"state": plain(generator.bit_generator.state)}


def compared_seed(entry: dict[str, Any]) -> Any:
    """Return what of a seed must be the same when a run is gone on with."""
    return entry.get("given", "of a generator" if "state" in entry else None)


def seed_of(entry: dict[str, Any]) -> Any:
    """Return the seed, or the generator in the state, that a header keeps."""
    if "state" not in entry:
        return entry.get("given", entry.get("drawn"))
    state = entry["state"]
    make: Callable[[], Any] = getattr(np.random, state["bit_generator"])
    bits = make()
    bits.state = _arrays(state)
    return np.random.Generator(bits)


def _arrays(state: Any) -> Any:
    """Return a generator's state with its lists as the arrays that they were."""
    if isinstance(state, dict):
        return {key: _arrays(value) for key, value in state.items()}
    return np.array(state, dtype=np.uint64) if isinstance(state, list) else state
