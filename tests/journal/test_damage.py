"""Journals that are damaged or hostile: it is noticed, with the line, or nothing is lost."""

import contextlib
import json
import random
import re
import sqlite3
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import LBFGSB, Journal, JournalError, OptimizerWarning, load
from optimizers.journal.checksum import sealed

START = [-1.2, 1.0, 0.5]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The lines of a journal of a run that has ended."""
    path = tmp_path_factory.mktemp("whole") / "run.jsonl"
    LBFGSB().minimize(rosen, START, rosen_der, journal=Journal(path, "never"))
    return path.read_bytes().splitlines(keepends=True)


def noticed(path, run, expected):
    """Resume a damaged journal: return the error's or warning's words; else nothing was lost."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result, calls = run(path)
            recording = load(path)
        except JournalError as error:
            return str(error)
    words = [str(warning.message) for warning in caught if warning.category is OptimizerWarning]
    if not words:
        assert calls == 0
        assert (result.fun, result.nfev, result.message) == expected
        assert recording.is_finished
    return "".join(words)


# Flipped bits.


def gradient_run(path):
    calls = []

    def fun(x):
        calls.append(x)
        return rosen(x)

    result = LBFGSB(maxfun=20).minimize(fun, START, rosen_der, journal=Journal(path, "never"))
    return result, len(calls)


def threads_run(path):
    calls = []

    def fun(x):
        calls.append(x)
        return rosen(x)

    with ThreadPoolExecutor(2) as pool:
        optimizer = LBFGSB(maxfun=20)
        result = optimizer.minimize(fun, START, workers=pool, journal=Journal(path, "never"))
    return result, len(calls)


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
@pytest.mark.parametrize("run", [gradient_run, threads_run])
def test_no_flipped_bit_gives_another_result_without_a_word(tmp_path, name, run):
    path = tmp_path / name
    result, _ = run(path)
    expected = result.fun, result.nfev, result.message
    data, rng, silent = path.read_bytes(), random.Random(name), 0
    for _ in range(80):
        at, bit = rng.randrange(len(data)), rng.randrange(8)
        damaged = bytearray(data)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        silent += not noticed(path, run, expected)
    if name == "run.jsonl":
        assert silent < 8  # in the name of a checksum's own field, and nowhere else


def test_a_checksum_is_that_of_the_line_without_it(whole):
    for line in whole:
        entry = json.loads(line)
        crc = entry.pop("crc")
        text = json.dumps(entry, separators=(",", ":")) if line == whole[0] else line.decode()
        plain = text.strip().replace(f',"crc":"{crc}"', "")
        assert zlib.crc32(plain.encode()) == int(crc, 16)
        assert line.rstrip().endswith(f'"crc":"{crc}"}}'.encode())


# Lines that are not what they must be.


def at(place, value):
    """Return a change of an entry: what is at a place in it is another value, or is gone."""

    def change(entry):
        *outer, last = place
        for name in outer:
            entry = entry[name]
        if value is GONE:
            del entry[last]
        else:
            entry[last] = value

    return change


GONE, HUGE, DEEP = object(), 10**400, "[" * 100_000
HEADERS = [
    *(at([name], GONE) for name in ("created", "optimizer", "settings", "problem", "seed")),
    *(at([name], GONE) for name in ("functions", "versions", "serial", "has_workers")),
    *(at(["problem", name], GONE) for name in ("n", "x0", "lower", "jac", "constraints", "hess")),
    *(at(["problem", "n"], n) for n in (10**12, HUGE, -1, 0, 2, 3.0, "3", None, [3], True)),
    *(at(["problem", "x0"], x) for x in ("", "AAAA", "not base64!", "\u20ac", None, 3, [1.0])),
    *(at(["problem", "lower"], x) for x in ("", "AAAA", 3, "AAAAAAAA8D8=")),
    *(at(["seed"], seed) for seed in (None, 3, {}, {"given": "x"}, {"drawn": -1}, {"drawn": 0.5})),
    *(
        at(["seed"], {"state": {"bit_generator": name, "state": {}}})
        for name in ("seed", "Generator", "nothing", "PCG64", 3, None)
    ),
    *(at(["settings"], value) for value in ([], "x", {"options": [1]}, {"options": "maxiter"})),
    *(at(["versions", "python"], python) for python in (GONE, 3, None, [])),
    *(at(["many"], many) for many in (3, [], {"X0": 3}, {"X0": "", "runs": -1}, {"X0": "AAAA"})),
    *(at([name], []) for name in ("optimizer", "functions", "versions", "notes", "created")),
]
RECORDS = [
    *(at(["seq"], seq) for seq in (-1, 0.5, "0", None, [], {}, True, float("nan"))),
    *(at(["kind"], kind) for kind in ("hess", "function", None, 3, [])),
    *(at(["x"], x) for x in (GONE, None, 3, "", "AAAA", "A", "AAAAAAAA8D8=", "!!!!", "\u20ac")),
    *(
        at(["f"], f)
        for f in (GONE, None, "text", [], [1.0], [1, 2], [1, 2, 3], {}, HUGE, [HUGE, 0])
    ),
    *(at(["g"], g) for g in (3, "", "AAAA", "AAAAAAAA8D8=", [1.0, 2.0, 3.0])),
    *(at([name], x) for name in ("t", "eps", "se") for x in ("text", [], {}, HUGE)),
    *(at([name], x) for name in ("ask", "part") for x in ("0", -2, 0.5, None, [])),
    *(at([name], x) for name in ("worker", "error") for x in (3, [], {})),
]
LINES = [
    *("", " ", "{", "[]", "3", '"seq"', "null", "{}", '{"seq":0}', "\0\0\0", '{"seq":1,"kind":"f'),
    *(DEEP, DEEP + "]" * 100_000, '{"a":' * 100_000, "9" * 10_000, '{"sequence":3}'),
    *(f'{{"retried":{x},"times":1}}' for x in ("[]", "-1", "null")),
    *('{"retried":0}', '{"retried":0,"times":-1}', '{"retried":0,"times":"a"}'),
    *(f'{{"left":{x},"started":[1,1]}}' for x in ("[]", "-1", "0.5", "null", "{}")),
    *(
        f'{{"left":0,"started":{x}}}'
        for x in ("[]", "[1]", "[1,2,3]", "3", '"ab"', "[1,-1]", "null")
    ),
    *(f'{{"width":{x}}}' for x in ('"x"', "[]", "-1", "0", "NaN", str(HUGE))),
    *(f'{{"restart":{x}}}' for x in ("[]", "{}", "3", "null")),
    *(f'{{"end":{x}}}' for x in ("[]", "{}", "3", '{"stop":"FUN"}', '{"stop":3}', '"x"')),
    *('{"end":null,"error":3}', '{"end":{"best":3}}', '{"end":{"omitted":3}}', '{"left":0}'),
    *("\x1e" + '{"resumed":{}}', "\ufeff{}", "\u20ac"),
]


def assert_refused(path, words):
    before = path.read_bytes()
    for attempt in (
        lambda: load(path),
        lambda: LBFGSB().minimize(rosen, START, rosen_der, journal=path),
    ):
        with pytest.raises(JournalError, match=words):
            attempt()
        assert path.read_bytes() == before


def rewritten(line, change):
    """Return a line with a change, and the checksum that belongs to it."""
    entry = json.loads(line)
    del entry["crc"]
    change(entry)
    number = entry.pop("line", 1)
    return sealed(json.dumps(entry, separators=(",", ":")), number)


@pytest.mark.parametrize("change", HEADERS)
def test_a_first_line_that_is_not_as_it_must_be_is_named(tmp_path, whole, change):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join([rewritten(whole[0], change), *whole[1:]]))
    assert_refused(path, "is damaged: its line 1 is")


@pytest.mark.parametrize("change", RECORDS)
def test_a_record_that_is_not_as_it_must_be_is_named(tmp_path, whole, change):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join([*whole[:5], rewritten(whole[5], change), *whole[6:]]))
    assert_refused(path, "is damaged: its line 6 is")


@pytest.mark.parametrize("place", [4, None])
@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line)[:40])
def test_a_line_that_is_something_else_is_named(tmp_path, whole, line, place):
    path = tmp_path / "run.jsonl"
    lines = [*whole[:place], line.encode() + b"\n", *(whole[place:] if place else [])]
    path.write_bytes(b"".join(lines))
    number = len(lines) if place is None else place + 1
    assert_refused(path, f"is damaged: its line {number} is")


@pytest.mark.parametrize("count", range(2, 9))
def test_a_byte_that_is_not_text_is_named(tmp_path, whole, count):
    path = tmp_path / "run.jsonl"
    data = bytearray(b"".join(whole))
    data[len(b"".join(whole[:count])) - 10] = 0xE9
    path.write_bytes(data)
    assert_refused(path, f"is damaged: its line {count} is")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
    ],
)
def test_what_an_editor_adds_costs_nothing(tmp_path, whole, change):
    path = tmp_path / "run.jsonl"
    path.write_bytes(change(b"".join(whole[:8])))
    calls = []

    def fun(x):
        calls.append(x)
        return rosen(x)

    result = LBFGSB().minimize(fun, START, rosen_der, journal=path, journal_check="off")
    expected = LBFGSB().minimize(rosen, START, rosen_der)
    assert (result.fun, result.nfev) == (expected.fun, expected.nfev)
    assert len(calls) == result.nfev - sum(b'"kind":"fun"' in line for line in whole[:8])
    assert load(path).is_finished


# Databases.


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries WHERE number = 4",
        "UPDATE entries SET number = 400 WHERE number = 4",
        "UPDATE entries SET entry = '' WHERE number = 4",
        "UPDATE entries SET entry = x'ff00' WHERE number = 4",
        "UPDATE entries SET entry = 3 WHERE number = 4",
        "UPDATE entries SET entry = replace(entry, '1', '2') WHERE number = 4",
    ],
)
def test_a_row_that_is_damaged_or_gone_is_named(tmp_path, statement):
    path = tmp_path / "run.db"
    LBFGSB().minimize(rosen, START, rosen_der, journal=path)
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()
    assert_refused(path, r"is damaged: (its line 4 is|it has no row 4)")


SCHEMA = "UPDATE sqlite_master SET sql = replace(sql, {!r}, {!r}), name = {} WHERE name = {!r}"


@pytest.mark.parametrize(
    "statements",
    [
        [SCHEMA.format("VIEW", "WIEV", "CAST(x'a0ff' AS TEXT)", "evaluations")],
        [SCHEMA.format("VIEW", "WIEV", "name", "evaluations")],
        [SCHEMA.format("entries", "entriez", "'entriez'", "entries")],
        [
            SCHEMA.format("NOT NULL", "", "name", "entries"),
            "UPDATE entries SET entry = NULL WHERE number = 1",
            SCHEMA.format("TEXT ", "TEXT NOT NULL", "name", "entries"),
        ],
    ],
)
def test_a_damaged_table_of_contents_is_noticed(tmp_path, statements):
    path = tmp_path / "run.db"
    LBFGSB().minimize(rosen, START, rosen_der, journal=path)
    for statement in statements:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA writable_schema = 1")
            database.execute(statement)
        database.close()
    assert_refused(path, "is not a journal|is damaged|malformed")


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_records_that_are_taken_out_or_moved_are_missed(tmp_path, name):
    path = tmp_path / name
    LBFGSB().minimize(rosen, START, journal=path)
    if name == "run.jsonl":
        held = path.read_bytes().splitlines()
    else:
        with contextlib.closing(sqlite3.connect(path)) as database:
            held = [row[0].encode() for row in database.execute("SELECT entry FROM entries")]

    def write(lines):
        if name == "run.jsonl":
            path.write_bytes(b"".join(line + b"\n" for line in lines))
            return
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM entries")
            rows = [(line.decode(),) for line in lines]
            database.executemany("INSERT INTO entries (entry) VALUES (?)", rows)

    def whole():
        return LBFGSB().minimize(rosen, START, journal=path).nreplayed

    def recorded(lines):
        return sum(b'"seq"' in line for line in lines)

    for lines, line in [
        (held[:5] + held[7:], 6),
        (held[:7] + held[5:], 8),
        ([*held[:3], held[4], held[3], *held[5:]], 4),
    ]:
        write(lines)
        for look in (lambda: load(path), whole):
            with pytest.raises(JournalError, match=f"is damaged: its line {line} is"):
                look()
        write(lines[: line - 1])  # as the message says
        assert whole() == recorded(lines[: line - 1])
    # What earlier versions wrote, and others wrote out again, is taken as it is.
    write([re.sub(rb',"line":\d+', b"", re.sub(rb',"crc":"\w+"', b"", line)) for line in held])
    assert whole() == recorded(held)
