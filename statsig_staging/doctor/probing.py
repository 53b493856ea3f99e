"""A probe that any warehouse stands: a table that is created, merged into, read and dropped."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.doctor.checks import NotRightError
from statsig_staging.names import experiment_table
from statsig_staging.plan import Batch, Column, ColumnType, CreateTable, Drop, Merge, Table
from statsig_staging.warehouses.base import Stamp

if TYPE_CHECKING:
    from statsig_staging.warehouses.base import Warehouse, WriteStats

_NAME = "doctor"


def probe_table(warehouse: Warehouse) -> list[WriteStats]:
    """Create a table in a scratch warehouse, merge into it, count its rows and drop it.

    Returns:
        What the statements did.

    Raises:
        NotRightError: If it holds other rows than were written.
        StagingError: If one of that cannot be done.
    """
    target = Table(
        name=experiment_table(_NAME, _NAME),
        experiment_id=_NAME,
        columns=(Column("id", ColumnType.LONG), Column("word", ColumnType.STRING)),
    )
    stamp = Stamp(load_id=f"doctor-{uuid.uuid4().hex[:12]}", step=_NAME)
    writes = (
        CreateTable(target=target, batches=(_row(1, "created"),)),
        Merge(
            target=target, keys=("id",), deleted="gone", batches=(_row(1, "kept"), _row(2, "new"))
        ),
    )
    done = [warehouse.write(write, stamp, _ignore) for write in writes]
    rows = warehouse.size(target, warehouse.version(target)).rows
    if rows != 2:
        raise NotRightError(f"a table of 2 rows was written, and it holds {rows}")
    warehouse.write(Drop(target=target), stamp, _ignore)
    if warehouse.version(target) is not None:
        raise NotRightError("a table that was dropped is still there")
    return done


def _ignore(done: int, batches: int) -> None:
    """Say nothing of batches."""


def _row(number: int, word: str) -> Batch:
    values = {
        "id": exp.Literal.number(number),
        "word": exp.Literal.string(word),
        "gone": exp.false(),
    }
    return Batch(select=exp.select(*(exp.alias_(v, k, quoted=True) for k, v in values.items())))
