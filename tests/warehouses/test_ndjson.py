"""NDJSON is typed by rules of the library's own, from all lines of a file."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlglot import exp

from statsig_staging.config import LocalConnection
from statsig_staging.errors import SourceFileError
from statsig_staging.plan import Read
from statsig_staging.warehouses.base import Sighting
from statsig_staging.warehouses.local.warehouse import LocalWarehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[LocalWarehouse]:
    """A warehouse with one source table."""
    connection = LocalConnection(warehouse="local", sources={"shop.events": ("events/**/*",)})
    opened = LocalWarehouse(connection, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Writes lines as a file of the source table."""

    def write(*lines: object, name: str = "a.ndjson") -> Path:
        path = tmp_path / "events" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        path.write_text("\n".join(text) + "\n", encoding="utf-8")
        return path

    return write


def columns(warehouse: LocalWarehouse) -> dict[str, str]:
    """Return the columns of the source table."""
    return dict(warehouse.observe(Sighting(table="shop.events"), {}).columns)


def rows(warehouse: LocalWarehouse) -> list[dict[str, object]]:
    """Return the rows of the source table."""
    seen = warehouse.observe(Sighting(table="shop.events"), {})
    read = Read(table="shop.events", columns=seen.columns, files=seen.files, used=frozenset())
    query = exp.select("*").from_(exp.table_("events", db="shop"))
    found: list[dict[str, object]] = warehouse.fetch(query, [read]).to_pylist()
    return sorted(found, key=repr)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, -2], "bigint"),
        ([2**63], "decimal(20, 0)"),
        ([1, 2.5], "double"),
        ([True, None], "boolean"),
        (["2025-01-01"], "date"),
        (["2025-01-01 10:00:00", "2025-01-01T10:00:00.000001"], "timestamp(6)"),
        (["2025-01-01T10:00", "2025-01-01 10:00:00.1"], "timestamp(6)"),
        (["2025-01-01T10:00:00Z", "2025-01-01 10:00:00.5+02:00"], "timestamp(6) with time zone"),
        (["2025-01-01", "2025-01-01T10:00:00"], "varchar"),
        (["007", "1"], "varchar"),
        ([1, "x"], "varchar"),
        ([True, 1], "varchar"),
        ([{"a": 1}, 1], "varchar"),
        ([None, None], "unknown"),
        ([[1, 2]], "BIGINT[]"),
    ],
)
def test_a_column_has_the_type_of_all_its_values(
    warehouse: LocalWarehouse, put: Callable[..., Path], values: list[object], kind: str
) -> None:
    """Numbers in quotes are text; texts that all look like days or moments are these."""
    put(*({"v": value} for value in values))

    assert columns(warehouse) == {"v": kind}


def test_values_come_through(warehouse: LocalWarehouse, put: Callable[..., Path]) -> None:
    """Whatever the other file of the source holds in that column."""
    put({"id": 5, "x": 0.1, "ok": True}, {"id": -6, "tags": {"aB": [1]}})
    put({"id": "z", "x": 1}, name="b.ndjson")

    assert [(row["id"], row["x"], row["ok"]) for row in rows(warehouse)] == [
        ("-6", None, None),
        ("5", 0.1, True),
        ("z", 1.0, None),
    ]
    assert rows(warehouse)[0]["tags"] == {"aB": [1]}


def test_keys_may_be_spelt_differently(warehouse: LocalWarehouse, put: Callable[..., Path]) -> None:
    """A column has no case: files that spell it otherwise hold the same one."""
    put({"userId": "a", 'say "x"': 1})
    put({"userid": "b"}, name="b.ndjson")

    assert [row["userid"] for row in rows(warehouse)] == ["a", "b"]
    assert columns(warehouse) == {'say "x"': "bigint", "userid": "varchar"}


def test_two_spellings_in_one_file_are_refused(
    warehouse: LocalWarehouse, put: Callable[..., Path]
) -> None:
    """Nobody could say which one is meant."""
    path = put({"userId": "a"}, {"userid": "b"})

    with pytest.raises(
        SourceFileError, match=r"'userId' and 'userid'|'userid' and 'userId'"
    ) as error:
        columns(warehouse)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("lines", [["1"], ['{"v": 1}', "[1]"], ["null"]])
def test_lines_that_are_no_objects_are_refused(
    warehouse: LocalWarehouse, put: Callable[..., Path], lines: list[str]
) -> None:
    """The file is named."""
    path = put(*lines)

    with pytest.raises(SourceFileError, match="a line is no object") as error:
        columns(warehouse)
    assert str(path) in str(error.value)


def test_folders_are_columns(warehouse: LocalWarehouse, put: Callable[..., Path]) -> None:
    """Beside the keys; a file of blank lines, or without a key, adds nothing."""
    put({"v": 1}, name="ds=2025-01-01/a.ndjson")
    put("", "", name="ds=2025-01-02/a.ndjson")
    put({}, name="ds=2025-01-03/a.ndjson")

    assert columns(warehouse) == {"v": "bigint", "ds": "date"}
    assert {(row["v"], str(row["ds"])) for row in rows(warehouse)} == {(1, "2025-01-01")}
