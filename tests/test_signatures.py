"""Names and parameters that users rely on stay: their order, their kinds, their defaults."""

import importlib.util
import json

import pytest

from tests.signatures import FILE, MODULES, look_up

KNOWN = json.loads(FILE.read_text())


def split(parameters):
    """Return the parameters by position, whether there may be more, the keywords, and the same."""
    texts = [p for p in parameters if not p.startswith("**")]
    star = next((i for i, p in enumerate(texts) if p.startswith("*")), len(texts))
    takes_more = texts[star : star + 1] not in ([], ["*"])
    return texts[:star], takes_more, set(texts[star + 1 :]), len(texts) < len(parameters)


def is_kept(before, now):
    """Return whether every call that one signature takes means the same to the other."""
    if before is None or now is None:
        return before is None
    *rest, keywords, takes_others = split(before)
    *rest_now, keywords_now, takes_others_now = split(now)
    return rest == rest_now and keywords <= keywords_now and takes_others == takes_others_now


def test_all_public_modules_are_known():
    assert KNOWN.keys() == MODULES.keys()


@pytest.mark.parametrize("module", KNOWN)
def test_names_and_parameters_are_as_they_were(module):
    extra = MODULES[module]
    if extra is not None and importlib.util.find_spec(extra) is None:
        pytest.skip(f"needs the extra: {extra}")
    changed = {}
    for name, before in KNOWN[module].items():
        try:
            now = look_up(module, name)
        except AttributeError:
            changed[name] = "is gone"
        else:
            if not is_kept(before, now):
                changed[name] = f"was {before}, is {now}"
    assert not changed


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (["x", "tol=1"], ["x", "tol=1"], True),
        (["x", "tol=1"], ["x", "tol=1", "*", "new=0"], True),
        (["x", "*", "a", "**kwargs"], ["x", "*", "b=1", "a", "**settings"], True),
        (["x", "tol=1"], ["x", "tol=2"], False),
        (["x", "tol=1"], ["tol=1", "x"], False),
        (["x", "tol=1"], ["x", "*", "tol=1"], False),
        (["x", "*", "a"], ["x", "*"], False),
        (["x", "*", "a"], ["x", "*args", "a"], False),
        (["x", "**kwargs"], ["x"], False),
        (["x", "/"], ["x"], False),
        (["x"], None, False),
        (None, ["x"], True),
    ],
)
def test_what_callers_would_notice_is_found(before, now, expected):
    assert is_kept(before, now) is expected
