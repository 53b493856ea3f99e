"""Parquet files of staging tables: DuckDB writes them with field ids, ready to be committed."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.iceberg import WrittenFile
from statsig_staging.warehouses.local.statements import typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import duckdb
    from pyiceberg.schema import Schema

    from statsig_staging.plan import Column


def copy_rows(
    connection: duckdb.DuckDBPyConnection,
    select: exp.Query,
    columns: Sequence[Column],
    *,
    schema: Schema,
    folder: Path,
    partition: date | None,
    split: bool,
) -> list[WrittenFile]:
    """Write the rows of a DuckDB query below ``folder``; no table knows the files yet.

    Args:
        connection: DuckDB.
        select: The query.
        columns: The columns of the table, with their types.
        schema: The table's schema, whose field ids go into the files; its other columns are null.
        folder: The table's data folder.
        partition: The ``ds`` of all rows, where it is one.
        split: Whether rows are written to one folder per ``ds``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / (uuid.uuid4().hex + ("" if split else ".parquet"))
    given = {column.name for column in columns}
    others = [field for field in schema.fields if field.name not in given]
    rows_of = typed(select, columns, others)
    cursor = connection.execute(_copy(rows_of, place, schema, split=split))
    names = [column[0] for column in cursor.description or ()]
    rows = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
    return list(_written(rows, partition))


def _copy(select: exp.Query, place: Path, schema: Schema, *, split: bool) -> str:
    ids = exp.Struct(
        expressions=[
            exp.PropertyEQ(
                this=exp.to_identifier(field.name, quoted=True),
                expression=exp.Literal.number(field.field_id),
            )
            for field in schema.fields
        ]
    )
    options = {
        "FORMAT": exp.var("parquet"),
        "COMPRESSION": exp.var("zstd"),
        "RETURN_STATS": exp.true(),
        "FIELD_IDS": ids,
    }
    if split:
        options["PARTITION_BY"] = exp.Tuple(expressions=[exp.to_identifier("ds")])
        options["WRITE_PARTITION_COLUMNS"] = exp.true()
    statement = exp.Copy(
        this=select.subquery(copy=False),
        kind=False,
        files=[exp.Literal.string(str(place))],
        params=[
            exp.CopyParameter(this=exp.var(name), expression=value)
            for name, value in options.items()
        ],
    )
    return statement.sql("duckdb")


def _written(rows: Iterable[Mapping[str, object]], partition: date | None) -> Iterator[WrittenFile]:
    for row in rows:
        path = Path(str(row["filename"]))
        if not row["count"]:
            # DuckDB leaves a Parquet file without rows where a query has none.
            path.unlink(missing_ok=True)
            continue
        keys = row.get("partition_keys")
        yield WrittenFile(
            path=path,
            rows=int(str(row["count"])),
            size=int(str(row["file_size_bytes"])),
            partition=_day(keys["ds"]) if isinstance(keys, dict) and keys else partition,
        )


def _day(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))
