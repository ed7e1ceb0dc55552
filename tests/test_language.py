"""American spelling, plain phrases, and hints that name packages, in the package and its docs."""

import functools
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "optimizers").rglob("*.py"))
PAGES = [*sorted((ROOT / "docs").rglob("*.rst")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

# Whole words, in lower case: names such as CancelledError and future.cancelled() are Python's.
SPELLING = re.compile(
    r"\b(behaviour|cancelled(?!\()|centre|colour|favour|grey|honour|learnt|licence|labelled|misspelt|"
    r"modelled|neighbour|towards|whilst|(initial|normal|recogn|serial)is(e|ed|es|ing))"
    r"s?\b"
)
PHRASES = re.compile(
    r"\b(so-manieth|is had|reckons? with|a budget is none|that which|goes on with|leaves? it out|"
    r"leave them out|is no (callable|function|journal|number|option|pair|vector))\b"
)
EXTRA = re.compile(r"pip install ['\"]?variational-optimizers\[")


@functools.cache
def texts(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a page, or the comments and strings of a module, by line."""
    whole = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return list(enumerate(whole.splitlines(), 1))
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)}
    tokens = tokenize.generate_tokens(io.StringIO(whole).readline)
    return [(token.start[0], token.string) for token in tokens if token.type in kinds]


def found(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in paths
        for number, text in texts(path)
        for match in pattern.finditer(text)
    ]


@pytest.mark.parametrize("pattern", [SPELLING, PHRASES], ids=["spelling", "phrases"])
def test_the_text_is_plain_american_english(pattern):
    assert found(pattern, [*SOURCES, *PAGES]) == []


def test_hints_name_what_an_index_has():
    assert found(EXTRA, SOURCES) == []
