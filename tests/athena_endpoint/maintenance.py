"""OPTIMIZE and VACUUM: small files into large ones, old snapshots and unnamed files away."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from tests.athena_endpoint import commits, relations, tables
from tests.athena_endpoint.commits import Change
from tests.athena_endpoint.ddl import named
from tests.athena_endpoint.failures import failed
from tests.athena_endpoint.writing import MOST_PARTITIONS, Layout, write

if TYPE_CHECKING:
    from pyiceberg.table import FileScanTask
    from pyiceberg.table import Table as IcebergTable

    from tests.athena_endpoint.session import Session
    from tests.athena_endpoint.tables import Name


def _table(session: Session, name: Name) -> IcebergTable:
    entry = tables.existing(session.account, name)
    if not tables.is_iceberg(entry):
        raise failed("NOT_SUPPORTED", f"Table {name} is not an Iceberg table")
    return tables.iceberg_table(session.account, name)


_OPTIMIZE = re.compile(
    r"OPTIMIZE\s+(\S+)\s+REWRITE\s+DATA\s+USING\s+BIN_PACK(?:\s+WHERE\s+(.+?))?\s*$",
    re.IGNORECASE | re.DOTALL,
)


def optimize(session: Session, sql: str, database: str) -> None:
    """Rewrite partitions of several files, or with delete files, to one file each.

    Raises:
        StatementError: If more than a hundred partitions need it; the first hundred are done then.
    """
    found = _OPTIMIZE.match(sql)
    if found is None:
        raise failed("SYNTAX_ERROR", "mismatched input. Expecting: REWRITE DATA USING BIN_PACK")
    table = _table(session, named(found[1], database))
    groups: dict[object, list[FileScanTask]] = {}
    for task in table.scan(row_filter=_filter(found[2])).plan_files():
        groups.setdefault(task.file.partition, []).append(task)
    needed = [g for g in groups.values() if len(g) > 1 or any(task.delete_files for task in g)]
    if needed:
        _rewrite(session, table, [task for group in needed[:MOST_PARTITIONS] for task in group])
    if len(needed) > MOST_PARTITIONS:
        raise failed("ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED", "OPTIMIZE needs more runs to finish")


def _filter(where: str | None) -> str:
    """Return a filter of pyiceberg's; Athena too takes conditions on partition columns only."""
    if where is None:
        return "true"
    tree = sqlglot.parse_one(where, read="athena")
    for node in list(tree.find_all(exp.Cast)):
        node.replace(node.this)
    return tree.sql(dialect="trino")


def _rewrite(session: Session, table: IcebergTable, tasks: list[FileScanTask]) -> None:
    sql = relations.live_rows(session, table, tasks)
    written = write(session, Layout.of(table.metadata), sql)
    deletes = {file.file_path: file for task in tasks for file in task.delete_files}
    session.committing()
    # Delete files of this endpoint are for one data file each, so that they go with it.
    remove = [task.file for task in tasks] + list(deletes.values())
    commits.commit(
        session.account.catalog, table, Change(add=written.files, remove=remove, rewrite=True)
    )
    session.execution.effects += 1


def vacuum(session: Session, sql: str, database: str) -> None:
    """Expire snapshots, and delete the files that none names.

    Raises:
        StatementError: If more files are to go than one run deletes.
    """
    found = re.match(r"VACUUM\s+(\S+)\s*$", sql, re.IGNORECASE)
    if found is None:
        raise failed("SYNTAX_ERROR", "mismatched input. Expecting: <table>")
    table = _table(session, named(found[1].replace('"', "`"), database))
    _check_root(table)
    properties = table.properties
    keep = int(properties.get("vacuum_min_snapshots_to_keep", "1"))
    age = int(properties.get("vacuum_max_snapshot_age_seconds", "432000"))
    session.committing()
    table = _expire(session, table, keep, age)
    unnamed = _unnamed(session, table, age)
    for uri in unnamed[: session.account.settings.vacuum_files]:
        session.storage.delete(uri)
    session.execution.effects += 1
    if len(unnamed) > session.account.settings.vacuum_files:
        raise failed("ICEBERG_VACUUM_MORE_RUNS_NEEDED", "VACUUM needs more runs to finish")


def _check_root(table: IcebergTable) -> None:
    if table.metadata.location.removeprefix("s3://").rstrip("/").count("/") == 0:
        raise failed("NOT_SUPPORTED", "VACUUM is not supported for tables at the root of a bucket")


def _expire(session: Session, table: IcebergTable, keep: int, age: int) -> IcebergTable:
    oldest = int((time.time() - age) * 1000)
    ordered = sorted(table.snapshots(), key=lambda snapshot: snapshot.timestamp_ms, reverse=True)
    named_ = {ref.snapshot_id for ref in table.metadata.refs.values()}
    expired = [
        snapshot.snapshot_id
        for snapshot in ordered[keep:]
        if snapshot.timestamp_ms <= oldest and snapshot.snapshot_id not in named_
    ]
    if expired:
        table.maintenance.expire_snapshots().by_ids(expired).commit()
        return session.account.catalog.load_table(table.name())
    return table


def _unnamed(session: Session, table: IcebergTable, age: int) -> list[str]:
    """Return the data and metadata files below a table's folder that nothing names, old enough to go."""
    live = {
        table.metadata_location,
        *(entry.metadata_file for entry in table.metadata.metadata_log),
    }
    for snapshot in table.snapshots():
        live.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            live.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            live |= {entry.data_file.file_path for entry in entries}
    folder = f"{table.metadata.location.rstrip('/')}/"
    oldest = time.time() - age
    return [
        uri
        for uri, _ in session.storage.below(folder)
        if uri not in live and session.storage.modified(uri) <= oldest
    ]
