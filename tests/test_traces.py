"""Every class asks, counts and returns what it did when the traces were written."""

import pytest
import scipy

from tests import traces

KNOWN = traces.read()
WITH = traces.written_with()
#: Whether the last digits are those of the traces too; otherwise what hangs on them is left out.
IS_EXACT = traces.rounding() == WITH


def test_all_that_is_available_has_traces():
    made = traces.optimizers_by_name()
    assert KNOWN.keys() == made.keys()
    assert all(KNOWN[name].keys() == traces.variants_of(name).keys() for name in made)


@pytest.mark.parametrize("name", KNOWN)
def test_a_class_asks_counts_and_returns_what_it_did(name):
    if scipy.__version__.split(".")[:2] != WITH["scipy"].split(".")[:2]:
        pytest.skip("recorded with another SciPy")
    different = []
    for variant, call in traces.variants_of(name).items():
        before, now = KNOWN[name][variant], traces.traced(variant, call)
        wanted = len(before["points"]) if IS_EXACT else before["steady"]
        found = traces.same_points(
            before["points"], now["points"], traces.TOLERANCE, ordered=traces.is_ordered(variant)
        )
        if found < wanted:
            different.append(f"{variant}: point {found} is another")
        if before.get("chaotic") and not IS_EXACT:
            continue
        end, end_now = traces.end_of(before), traces.end_of(now)
        if end != end_now:
            different.append(f"{variant}: {end_now} instead of {end}")
        elif not traces.same_results(before, now, traces.TOLERANCE):
            different.append(f"{variant}: {now['runs']} instead of {before['runs']}")
    assert not different
