"""Statements of the embedded warehouse: Athena's SQL over table names as DuckDB's SQL over files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import iceberg
from statsig_staging.errors import WarehouseError
from statsig_staging.templates import Blanks
from statsig_staging.warehouses.local import dialect, files, pruning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.types import NestedField

    from statsig_staging.plan import Batch, Column, Read

    StagingTables = Mapping[tuple[str, str], IcebergTable]

_ATHENA_TYPES = {
    "string": "varchar",
    "long": "bigint",
    "double": "double",
    "date": "date",
    "timestamp": "timestamp(6)",
    "boolean": "boolean",
}


class Statements:
    """Turns queries over ``database.table`` into queries over the files that hold them.

    Args:
        catalog: Where staging tables are found.
        database: The staging database.
        root: The project folder, below which ``key=value`` folders are columns.
    """

    def __init__(self, catalog: Catalog, database: str, root: Path) -> None:
        self._databases = {database: (catalog, database)}
        self._root = root
        self._shared: dict[int, tuple[exp.Query, _Shared]] = {}

    @contextmanager
    def beside(self, name: str, catalog: Catalog, database: str) -> Iterator[None]:
        """Read the tables of another catalog's database under a name of its own, for a while."""
        self._databases[name] = (catalog, database)
        try:
            yield
        finally:
            del self._databases[name]

    def of_batch(self, batch: Batch) -> exp.Query:
        """Return the DuckDB query of a batch.

        Batches that share a tree share its translation, which is filled in for one of them at a time: the query is
        good until this is called again.
        """
        known = self._shared.get(id(batch.select))
        if known is None or known[0] is not batch.select:
            tables = self._staging_tables(batch.select)
            translated = _translation(batch.select, batch.reads, tables)
            known = (
                batch.select,
                _Shared(translated, {read.table for read in batch.reads}, tables),
            )
            self._shared[id(batch.select)] = known
        return known[1].filled_in(batch.values, self._relations(batch.reads))

    def of(self, query: exp.Query, reads: Iterable[Read] = ()) -> exp.Query:
        """Return the DuckDB query of a query over staging tables and over the sources in ``reads``."""
        reads = tuple(reads)
        tables = self._staging_tables(query)
        translated = _translation(query, reads, tables)
        return _over_files(translated, self._relations(reads), tables)

    def _relations(self, reads: Iterable[Read]) -> dict[str, exp.Query]:
        return {
            read.table: files.source_relation(read.files, read.columns, self._root)
            for read in reads
        }

    def without_rows(self, query: exp.Query, tables: Mapping[str, Mapping[str, str]]) -> exp.Query:
        """Return the DuckDB query of a query over empty source tables of the given columns."""
        relations = {
            table: files.source_relation([], columns, self._root)
            for table, columns in tables.items()
        }
        columns = {table: _dialect_types(found) for table, found in tables.items()}
        staging = self._staging_tables(query)
        return _over_files(dialect.translate(query, columns), relations, staging)

    def forget(self) -> None:
        """Forget the translations of a write."""
        self._shared.clear()

    def _staging_tables(self, query: exp.Query) -> StagingTables:
        """Return the staging tables that a query reads, each looked up once."""
        names = {
            (node.db, node.name) for node in query.find_all(exp.Table) if node.db in self._databases
        }
        tables = {
            (database, name): iceberg.load_table(*self._databases[database], name)
            for database, name in names
        }
        return {name: table for name, table in tables.items() if table is not None}


class _Shared:
    """A DuckDB query that many batches are: each has texts and files of sources of its own.

    Args:
        query: What they share, translated; it is changed.
        sources: The source tables, ``database.table``, in whose place files are put.
        tables: The staging tables, whose files are the same for all of them.
    """

    def __init__(self, query: exp.Query, sources: Collection[str], tables: StagingTables) -> None:
        self._sources: list[tuple[str, exp.Subquery]] = []
        for node in _named_tables(query):
            name = f"{node.db}.{node.name}"
            relation = exp.select() if name in sources else _staging_relation(node, tables)
            place = relation.subquery(node.alias_or_name, copy=False)
            node.replace(place)
            if name in sources:
                self._sources.append((name, place))
        self._blanks = Blanks(query)
        self._query = query

    def filled_in(self, texts: Mapping[str, str], relations: Mapping[str, exp.Query]) -> exp.Query:
        """Return the query with the texts and the files of one batch, in place of those before.

        Raises:
            LookupError: If a parameter is not given.
        """
        self._blanks.fill(texts)
        for table, place in self._sources:
            place.set("this", relations[table].copy())
        return self._query


def _named_tables(query: exp.Query) -> list[exp.Table]:
    """Return the tables that a query reads from a database."""
    return [node for node in query.find_all(exp.Table) if node.db]


def _over_files(
    query: exp.Query, relations: Mapping[str, exp.Query], tables: StagingTables
) -> exp.Query:
    for node in _named_tables(query):
        source = relations.get(f"{node.db}.{node.name}")
        relation = _staging_relation(node, tables) if source is None else source.copy()
        node.replace(relation.subquery(node.alias_or_name, copy=False))
    return query


def _translation(query: exp.Query, reads: Iterable[Read], tables: StagingTables) -> exp.Query:
    sources = {read.table: _dialect_types(read.columns) for read in reads}
    staging = {
        f"{database}.{name}": {
            field.name: _ATHENA_TYPES[str(field.field_type)]
            for schema in table.schemas().values()
            for field in schema.fields
        }
        for (database, name), table in tables.items()
    }
    return dialect.translate(query, {**sources, **staging})


def _staging_relation(node: exp.Table, tables: StagingTables) -> exp.Query:
    table = tables.get((node.db, node.name))
    if table is None:
        raise WarehouseError(f"table {node.db}.{node.name} does not exist")
    version = node.args.get("version")
    snapshot_id = int(version.expression.name) if version is not None else None
    found = iceberg.data_files(table, snapshot_id)
    needed = pruning.needed(node, (iceberg.partition_date(file) for file in found))
    current = [file for file in found if iceberg.partition_date(file) in needed]
    return files_relation(table, current, iceberg.schema_at(table, snapshot_id))


def _dialect_types(columns: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of a source for translation: one without any value is null, and fits everything."""
    return {name: "null" if kind == "unknown" else kind for name, kind in columns.items()}


def files_relation(table: IcebergTable, current: Sequence[DataFile], schema: Schema) -> exp.Query:
    """Return the SELECT that reads data files of a staging table with the columns of a schema."""
    fields = schema.fields
    if not current:
        nothing = [exp.alias_(_null(field), field.name, quoted=True) for field in fields]
        return exp.select(*nothing).where(exp.false())
    evolved = len(table.schemas()) > 1 or schema != table.schema()
    reader = _reader(_by_typical_size(current), fields if evolved else ())
    columns = (exp.column(field.name, quoted=True) for field in fields)
    return exp.select(*columns, copy=False).from_(reader, copy=False)


def _null(field: NestedField) -> exp.Expr:
    return exp.Cast(this=exp.null(), to=files.data_type(_ATHENA_TYPES[str(field.field_type)]))


def _by_typical_size(current: Sequence[DataFile]) -> list[DataFile]:
    """Order files so that the most typical one comes first.

    DuckDB 1.5 and 2.0 estimate the rows of a file list as those of the first file times the number of
    files, and choose the sides of joins by it.
    """
    mean = sum(file.record_count for file in current) / len(current)
    return sorted(current, key=lambda file: abs(file.record_count - mean))


def _reader(current: Sequence[DataFile], fields: Sequence[NestedField]) -> exp.Table:
    paths = exp.Array(
        expressions=[exp.Literal.string(iceberg.path_of(file.file_path)) for file in current]
    )
    arguments: list[exp.Expr] = [paths, _option("hive_partitioning", exp.false())]
    if fields:
        columns = ((field.field_id, field.name, _duckdb_type(field)) for field in fields)
        arguments.append(_option("schema", files.by_field_id(columns)))
    return exp.Table(this=exp.Anonymous(this="read_parquet", expressions=arguments))


def _option(name: str, value: exp.Expr) -> exp.Expr:
    return exp.EQ(this=exp.column(name), expression=value)


def _duckdb_type(field: NestedField) -> str:
    return files.in_duckdb(_ATHENA_TYPES[str(field.field_type)])


def typed(
    select: exp.Query, columns: Sequence[Column], others: Sequence[NestedField] = ()
) -> exp.Query:
    """Return the query with exactly the given columns, in their types, and others as nulls."""
    projections = [
        exp.alias_(
            exp.Cast(
                this=exp.column(column.name, "q", quoted=True), to=files.data_type(column.type)
            ),
            column.name,
            quoted=True,
            copy=False,
        )
        for column in columns
    ]
    projections += [
        exp.alias_(_null(field), field.name, quoted=True, copy=False) for field in others
    ]
    return exp.select(*projections, copy=False).from_(select.subquery("q", copy=False), copy=False)


def date_literal(day: date) -> exp.Expr:
    """Return a day as a DuckDB literal."""
    return exp.cast(exp.Literal.string(day.isoformat()), "date")
