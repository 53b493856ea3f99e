"""INSERT, DELETE, UPDATE and MERGE of Iceberg tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyiceberg.transforms import IdentityTransform
from sqlglot import exp

from tests.athena_endpoint import commits, hivewrites, queries, tables
from tests.athena_endpoint.commits import Change
from tests.athena_endpoint.failures import failed
from tests.athena_endpoint.relation import PATH, POSITION, quoted
from tests.athena_endpoint.types import athena_of, duckdb_of, iceberg_of_duckdb
from tests.athena_endpoint.writing import Layout, Written, write, write_deletes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.types import NestedField

    from tests.athena_endpoint.session import Session

_NUMBERS = frozenset(
    {
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "hugeint",
        "ubigint",
        "uinteger",
        "float",
        "double",
        "decimal",
    }
)
_MOMENTS = frozenset(
    {"date", "timestamp", "timestamp with time zone", "timestamp_s", "timestamp_ms", "timestamp_ns"}
)


def insert(session: Session, tree: exp.Insert, database: str) -> int:
    """Add rows and return their number."""
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    named = (
        [column.name.lower() for column in tree.this.expressions]
        if isinstance(tree.this, exp.Schema)
        else None
    )
    name = tables.name_of(target, database)
    entry = tables.existing(session.account, name)
    source = tree.expression
    if (with_ := tree.args.get("with_")) and not source.args.get("with_"):
        source = source.copy()
        source.set("with_", with_.copy())
    query = queries.query_of(session, source, database)
    if not tables.is_iceberg(entry):
        return hivewrites.insert(session, name, entry, query, named)
    table = tables.iceberg_table(session.account, name)
    fields = list(table.schema().fields)
    sql = _by_position(session, query.sql, fields, named)
    written = write(session, Layout.of(table.metadata), sql)
    session.committing()
    if written.files:
        commits.commit(session.account.catalog, table, Change(add=written.files))
    session.execution.effects += 1
    return written.rows


def _by_position(
    session: Session, sql: str, fields: Sequence[NestedField], named: Sequence[str] | None
) -> str:
    """Return a query with the columns of a table, from one with the columns that an INSERT names."""
    described = session.described(sql)
    known = [field.name.lower() for field in fields]
    names = list(named) if named is not None else known
    for name in names:
        if name not in known:
            raise failed(
                "COLUMN_NOT_FOUND",
                f"line 1:1: Insert column name does not exist in target table: {name}",
            )
    kinds = {field.name.lower(): field for field in fields}
    if len(names) != len(described) or any(
        not _fits(kind.id, kinds[name]) for name, (_, kind) in zip(names, described, strict=True)
    ):
        ours = ", ".join(athena_of(kinds[name].field_type) for name in names)
        theirs = ", ".join(athena_of(iceberg_of_duckdb(kind)) for _, kind in described)
        raise failed(
            "TYPE_MISMATCH",
            f"line 1:1: Insert query has mismatched column types: Table: [{ours}], Query: [{theirs}]",
        )
    positions = {name: position for position, name in enumerate(names)}
    columns = ", ".join(f"c{n}" for n in range(len(names)))
    selected = [
        f"q.c{positions[field.name.lower()]}"
        if field.name.lower() in positions
        else f"CAST(NULL AS {duckdb_of(field.field_type)})"
        for field in fields
    ]
    return f"SELECT {', '.join(selected)} FROM ({sql}) AS q({columns})"


def _fits(given: str, field: NestedField) -> bool:
    """Return whether Athena takes a value of a type for a column without a cast, by families of types."""
    kind = duckdb_of(field.field_type).lower()
    if given in {'"null"', "null"}:
        return True
    if given in _NUMBERS:
        return kind.split("(")[0] in _NUMBERS
    if given in _MOMENTS:
        return (
            kind.startswith("timestamp")
            or (kind == "date" and given == "date")
            or kind == "timestamptz"
        )
    families = {
        "varchar": "varchar",
        "boolean": "boolean",
        "blob": "blob",
        "list": "[]",
        "map": "map",
        "struct": "struct",
    }
    wanted = families.get(given)
    if wanted == "[]":
        return kind.endswith("[]")
    return wanted is None or (kind.startswith(wanted) and not kind.endswith("[]"))


@dataclass(frozen=True, slots=True)
class _Target:
    """The table of a row-level statement, as the statement calls it."""

    table: IcebergTable
    alias: str

    @property
    def fields(self) -> Sequence[NestedField]:
        return self.table.schema().fields

    def column(self, name: str) -> exp.Column:
        return exp.column(
            exp.to_identifier(name, quoted=True), table=exp.to_identifier(self.alias, quoted=True)
        )

    @property
    def row(self) -> list[exp.Expr]:
        return [self.column(PATH), self.column(POSITION)]


def _target(session: Session, node: exp.Table, database: str, *, whole: bool = True) -> _Target:
    name = tables.name_of(node, database)
    entry = tables.existing(session.account, name)
    if not tables.is_iceberg(entry):
        raise failed(
            "NOT_SUPPORTED",
            "Modifying Hive table rows is only supported for ACID transactional tables",
        )
    node.meta[queries.HIDDEN] = True
    if whole:
        node.meta[queries.WHOLE] = True
    return _Target(tables.iceberg_table(session.account, name), node.alias_or_name)


def _sql(
    session: Session, select: exp.Select, projections: Sequence[exp.Expr], database: str
) -> str:
    """Place the tables of a query without projections, then add these, then translate it."""
    schema = queries.place(session, select, database)
    for node in select.find_all(exp.Table):
        if queries.HIDDEN in node.meta:
            schema[node.name] = {**schema[node.name], PATH: "varchar", POSITION: "bigint"}
    named = [exp.alias_(part.copy(), f"c{n}") for n, part in enumerate(projections)]
    for column in (column for part in named for column in part.find_all(exp.Column)):
        column.set("db", None)
        column.set("catalog", None)
    full = select.select(*named)
    return queries.translated(session, full, schema)


def delete(session: Session, tree: exp.Delete, database: str) -> int:
    """Delete rows and return their number."""
    target = _target(session, tree.this, database, whole=False)
    select = exp.select().from_(tree.this)
    where = tree.args.get("where")
    if where is not None:
        select = select.where(where.this)
    sql = _sql(session, select, target.row, database)
    gone = session.new_name("gone")
    session.run(f"CREATE TEMP TABLE {gone} AS {sql}")
    if _by_partition(target, where):
        return _drop_files(session, target.table, gone)
    return _commit_rows(session, target.table, gone, None)


def _by_partition(target: _Target, where: exp.Expr | None) -> bool:
    """Return whether a condition can be decided by partition values, so that whole files go."""
    if where is None:
        return True
    if where.find(exp.Subquery, exp.Exists) or len(target.table.specs()) > 1:
        return False
    schema = target.table.schema()
    identities = {
        schema.find_column_name(field.source_id)
        for field in target.table.spec().fields
        if isinstance(field.transform, IdentityTransform)
    }
    return {column.name for column in where.find_all(exp.Column)} <= identities


def _live(table: IcebergTable) -> dict[str, tuple[DataFile, list[DataFile]]]:
    if table.current_snapshot() is None:
        return {}
    return {
        task.file.file_path: (task.file, list(task.delete_files))
        for task in table.scan().plan_files()
    }


def _drop_files(session: Session, table: IcebergTable, gone: str) -> int:
    counts = session.rows(f"SELECT c0, count(*) FROM {gone} GROUP BY c0")
    live = _live(table)
    remove = [live[path][0] for path, _ in counts]
    remove += list({f.file_path: f for path, _ in counts for f in live[path][1]}.values())
    session.committing()
    if remove:
        commits.commit(session.account.catalog, table, Change(remove=remove))
    session.execution.effects += 1
    return sum(count for _, count in counts)


def _commit_rows(
    session: Session, table: IcebergTable, gone: str, rows: str | None, more: int = 0
) -> int:
    """Delete the rows of a table (file, position) and add those of a query, as one snapshot."""
    layout = Layout.of(table.metadata)
    written = Written([], 0) if rows is None else write(session, layout, rows)
    live = _live(table)
    groups = session.rows(f"SELECT c0, list(DISTINCT c1) FROM {gone} GROUP BY c0")
    deletes = [write_deletes(session, layout, live[path][0], places) for path, places in groups]
    session.committing()
    if deletes or written.files:
        touched = frozenset(path for path, _ in groups)
        change = Change(add=written.files, deletes=deletes, targets=touched, reads=True)
        commits.commit(session.account.catalog, table, change)
    session.execution.effects += 1
    return sum(len(places) for _, places in groups) + more


def update(session: Session, tree: exp.Update, database: str) -> int:
    """Change rows and return their number."""
    target = _target(session, tree.this, database)
    select = exp.select().from_(tree.this)
    if where := tree.args.get("where"):
        select = select.where(where.this)
    set_ = _assigned(target, tree.expressions)
    values = [
        set_.get(field.name.lower(), target.column(field.name.lower())) for field in target.fields
    ]
    sql = _sql(session, select, [*target.row, *values], database)
    _check_types(session, target, sql, 2)
    changed = session.new_name("changed")
    session.run(f"CREATE TEMP TABLE {changed} AS {sql}")
    columns = ", ".join(f"c{n + 2}" for n in range(len(values)))
    return _commit_rows(session, target.table, changed, f"SELECT {columns} FROM {changed}")


def _assigned(target: _Target, assignments: Sequence[exp.Expr]) -> dict[str, exp.Expr]:
    known = {field.name.lower() for field in target.fields}
    found: dict[str, exp.Expr] = {}
    for assignment in assignments:
        name = assignment.this.name.lower()
        if name not in known:
            raise failed(
                "COLUMN_NOT_FOUND", f"line 1:1: The UPDATE SET target column {name} doesn't exist"
            )
        found[name] = assignment.expression
    return found


def _check_types(session: Session, target: _Target, sql: str, skip: int) -> None:
    described = session.described(sql)[skip:]
    for field, (_, kind) in zip(target.fields, described, strict=True):
        if not _fits(kind.id, field):
            raise failed(
                "TYPE_MISMATCH",
                f"line 1:1: column types do not match: {field.name} is {athena_of(field.field_type)}, "
                f"the expression is {athena_of(iceberg_of_duckdb(kind))}",
            )


def merge(session: Session, tree: exp.Merge, database: str) -> int:
    """Change, delete and add rows, and return the number of all of them.

    Raises:
        StatementError: If a row of the target matched more than one row of the source.
    """
    target = _target(session, tree.this, database)
    source = _materialized(session, tree.args["using"], database)
    whens = tree.args["whens"].expressions
    matched = [when for when in whens if when.args.get("matched")]
    others = [when for when in whens if not when.args.get("matched")]
    changed = _matches(session, tree, target, source, matched, database)
    added = _additions(session, tree, target, source, others, database)
    columns = ", ".join(f"c{n + 3}" for n in range(len(target.fields)))
    updates = [
        n for n, when in enumerate(matched, start=1) if isinstance(when.args["then"], exp.Update)
    ]
    chosen = ", ".join(map(str, updates)) or "-1"
    rows = f"SELECT {columns} FROM {changed} WHERE c2 IN ({chosen})"
    more = 0
    if added:
        inserted = ", ".join(f"c{n + 1}" for n in range(len(target.fields)))
        rows += f" UNION ALL SELECT {inserted} FROM {added}"
        ((more,),) = session.rows(f"SELECT count(*) FROM {added}")
    return _commit_rows(session, target.table, changed, rows, more)


@dataclass(frozen=True, slots=True)
class _Source:
    """The rows of a MERGE's source, kept while it runs."""

    name: str
    alias: str

    def node(self) -> exp.Table:
        alias = exp.TableAlias(this=exp.to_identifier(self.alias, quoted=True))
        return exp.Table(this=exp.to_identifier(self.name), alias=alias)


def _materialized(session: Session, using: exp.Expr, database: str) -> _Source:
    alias = using.alias_or_name
    query = queries.query_of(session, exp.select("*").from_(using), database)
    name = session.new_name("source")
    session.run(f"CREATE TEMP TABLE {name} AS {query.sql}")
    columns = {
        column.lower(): athena_of(iceberg_of_duckdb(kind))
        for column, kind in session.described(f"SELECT * FROM {name}")
    }
    session.placed[name] = columns
    return _Source(name, alias)


def _merge_sql(
    session: Session,
    tree: exp.Merge,
    target: _Target,
    source: _Source,
    projections: Sequence[exp.Expr],
    database: str,
    *,
    left: bool,
) -> str:
    """Return source and target joined: what matches, or what of the source does not."""
    on = tree.args["on"]
    source_node = source.node()
    if left:
        select = exp.select().from_(source_node).join(tree.this, on=on, join_type="left")
        select = select.where(exp.Is(this=target.column(POSITION), expression=exp.null()))
    else:
        select = exp.select().from_(tree.this).join(source_node, on=on)
    return _sql(session, select, projections, database)


def _action(whens: Sequence[exp.Expr]) -> exp.Expr:
    """Return the number of the first clause whose condition holds, 0 where none does."""
    case = exp.Case(ifs=[], default=exp.Literal.number(0))
    for number, when in enumerate(whens, start=1):
        condition = when.args.get("condition")
        case.append(
            "ifs",
            exp.If(
                this=condition.copy() if condition else exp.true(), true=exp.Literal.number(number)
            ),
        )
    return case


def _chosen(
    whens: Sequence[exp.Expr], values: Sequence[exp.Expr | None], field: NestedField
) -> exp.Expr:
    """Return the value that the clause which applies gives a column."""
    kind = exp.DataType.build(athena_of(field.field_type), dialect="athena")
    null = exp.Cast(this=exp.null(), to=kind)
    case = exp.Case(ifs=[], default=null)
    for when, value in zip(whens, values, strict=True):
        condition = when.args.get("condition")
        case.append(
            "ifs",
            exp.If(this=condition.copy() if condition else exp.true(), true=(value or null).copy()),
        )
    return case


def _matches(
    session: Session,
    tree: exp.Merge,
    target: _Target,
    source: _Source,
    whens: Sequence[exp.Expr],
    database: str,
) -> str:
    """Return a table of the target's rows that change: file, position, clause, new values."""
    name = session.new_name("changed")
    values: list[exp.Expr] = []
    assigned = [
        _assigned(target, when.args["then"].expressions)
        if isinstance(when.args["then"], exp.Update)
        else None
        for when in whens
    ]
    for field in target.fields:
        own = target.column(field.name.lower())
        parts = [None if set_ is None else set_.get(field.name.lower(), own) for set_ in assigned]
        values.append(_chosen(whens, parts, field) if any(assigned) else own)
    projections = [*target.row, _action(whens) if whens else exp.Literal.number(0), *values]
    sql = _merge_sql(session, tree, target, source, projections, database, left=False)
    if any(assigned):
        _check_types(session, target, sql, 3)
    session.run(f"CREATE TEMP TABLE {name} AS SELECT * FROM ({sql}) WHERE c2 > 0")
    ((rows, distinct),) = session.rows(f"SELECT count(*), count(DISTINCT (c0, c1)) FROM {name}")
    if rows != distinct:
        raise failed(
            "MERGE_TARGET_ROW_MULTIPLE_MATCHES",
            "One MERGE target table row matched more than one source row",
        )
    return name


def _additions(
    session: Session,
    tree: exp.Merge,
    target: _Target,
    source: _Source,
    whens: Sequence[exp.Expr],
    database: str,
) -> str | None:
    """Return a table of the source's rows that are added: clause, values."""
    if not whens:
        return None
    known = [field.name.lower() for field in target.fields]
    given = [_inserted(when.args["then"], known) for when in whens]
    values = [
        _chosen(whens, [row.get(field.name.lower()) for row in given], field)
        for field in target.fields
    ]
    sql = _merge_sql(session, tree, target, source, [_action(whens), *values], database, left=True)
    _check_types(session, target, sql, 1)
    name = session.new_name("added")
    session.run(f"CREATE TEMP TABLE {name} AS SELECT * FROM ({sql}) WHERE c0 > 0")
    return name


def _inserted(then: exp.Expr, known: Sequence[str]) -> dict[str, exp.Expr]:
    names = [column.name.lower() for column in then.this.expressions] if then.this else list(known)
    values = then.expression.expressions
    if len(names) != len(values):
        raise failed(
            "TYPE_MISMATCH",
            f"line 1:1: Insert query has {len(values)} expressions and {len(names)} target columns",
        )
    for name in names:
        if name not in known:
            raise failed("COLUMN_NOT_FOUND", f"line 1:1: Column {quoted(name)} cannot be resolved")
    return dict(zip(names, values, strict=True))
