"""Whatever is forwarded ends in the table or in quarantine, and the counts add up."""

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.forwards import DAY, a_file, a_project, accepted, events, ndjson, opened, quarantined

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_MOMENTS = st.sampled_from(
    [DAY.isoformat(), DAY.timestamp(), "2025-01-10", "", "soon", -1, 1e300, None]
)
_ROWS = st.dictionaries(
    _TEXT
    | st.sampled_from(["user_id", "User_ID", "user_object", "ds", "_line", "cells", "object"]),
    _VALUES,
    max_size=4,
)
_LINES = st.one_of(
    st.builds(lambda row, at: json.dumps({**row, "timestamp": at}).encode(), _ROWS, _MOMENTS),
    st.builds(
        lambda row, at: json.dumps({**row, "user_id": "u", "timestamp": at}).encode(),
        _ROWS,
        _MOMENTS,
    ),
    st.builds(lambda value: json.dumps(value).encode(), _VALUES),
    st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"")),
)


def fuzzed(rng: random.Random, line: bytes) -> bytes:
    """Return a line some of whose bytes are others, gone, or there twice."""
    data = bytearray(line)
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                data[place] = rng.randrange(256)
            case 1:
                del data[place : place + rng.randrange(1, 9)]
            case _:
                data[place:place] = data[place : place + rng.randrange(1, 9)]
        data = data or bytearray(b"{")
    return bytes(data).replace(b"\n", b" ")


def check(folder: Path, lines: list[bytes], name: str = "rows.ndjson", header: int = 0) -> Any:
    """Forward lines, and make sure that each row is accounted for."""
    project = a_project(folder)
    before = len(accepted(project))
    with opened(project) as engine:
        receipt = engine.forward_events(a_file(folder, b"\n".join(lines) + b"\n", name))
    assert receipt.rows == receipt.accepted + receipt.duplicates + receipt.rows_quarantined
    assert len(quarantined(project, receipt)) == receipt.rows_quarantined
    assert len(accepted(project)) == before + receipt.accepted
    if not header:
        first, *others = lines or [b""]
        rest = [first.removeprefix(b"\xef\xbb\xbf"), *others]
        assert receipt.rows == sum(bool(line.removesuffix(b"\r").strip()) for line in rest)
    return receipt


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_LINES, max_size=60))
def test_garbage_is_accounted_for(lines: list[bytes]) -> None:
    """Lines of any bytes and objects of any keys and values are rows of the table or of the quarantine."""
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder), lines)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_LINES, max_size=200))
def test_much_garbage_is_accounted_for(lines: list[bytes]) -> None:
    """The same with more lines."""
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder), lines)


def test_damaged_lines_are_accounted_for(tmp_path: Path) -> None:
    """So are real lines with damaged bytes."""
    play_damage(tmp_path, batches=2, rows=300)


def test_damaged_records_are_accounted_for(tmp_path: Path) -> None:
    """So are records of CSV with damaged bytes."""
    rng = random.Random(3)
    lines = [f'u{n},{DAY.isoformat()},"a, ""quoted"" value {n}"'.encode() for n in range(300)]
    damaged = [b"user_id,timestamp,note", *(fuzzed(rng, line) for line in lines)]
    check(tmp_path, damaged, "rows.csv", header=1)


def play_damage(folder: Path, batches: int, rows: int, seed: int = 2) -> int:
    """Forward batches of damaged lines, and return how many lines that were."""
    rng = random.Random(seed)
    read = 0
    for batch in range(batches):
        lines = ndjson(events(rows, seed=batch)).splitlines()
        read += check(folder / str(batch), [fuzzed(rng, line) for line in lines]).rows
    return read


@pytest.mark.slow
def test_much_damage(tmp_path: Path) -> None:
    """The same with more lines; a million of them take some minutes."""
    assert play_damage(tmp_path, batches=5, rows=10_000, seed=5) > 45_000
