"""Statements that the Hive parser reads: databases, tables, columns, partitions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlglot
from pyiceberg.exceptions import CommitFailedException, ValidationError
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from sqlglot import exp

from tests.athena_endpoint import hive, properties, tables
from tests.athena_endpoint.failures import ddl_failed, failed
from tests.athena_endpoint.statements import tokens_of, tree_of
from tests.athena_endpoint.types import iceberg_fields, iceberg_of_ddl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.update.schema import UpdateSchema

    from tests.athena_endpoint.session import Session
    from tests.athena_endpoint.tables import Name

_NAME = r"(?:`[^`]+`|\w+)(?:\s*\.\s*(?:`[^`]+`|\w+))*"

# https://docs.aws.amazon.com/athena/latest/ug/supported-serdes.html
_STORED = {
    "PARQUET": (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    ),
    "TEXTFILE": (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
    ),
}


def plain(name: str) -> str:
    """Return a name without backticks, in lower case."""
    return name.strip().strip("`").lower()


def named(text: str, database: str) -> Name:
    """Return the table that a name with or without a database means."""
    parts = [plain(part) for part in re.split(r"\s*\.\s*(?=`|\w)", text.strip())]
    return tables.Name(parts[-2] if len(parts) > 1 else database, parts[-1])


def without_comments(sql: str) -> str:
    """Return a statement on one line without its comments."""
    tokens = [token for token in tokens_of(sql) if token.kind not in {"line", "block"}]
    pieces = []
    end = 0
    for token in tokens:
        pieces.append((" " if token.start > end else "") + token.text)
        end = token.start + len(token.text)
    return "".join(pieces).strip()


def matched(pattern: str, sql: str) -> re.Match[str] | None:
    """Return the match of a pattern in which ``NAME`` stands for a table's name."""
    expression = re.sub(r"\bNAME\b", lambda _: f"({_NAME})", pattern)
    return re.match(expression + r"\s*$", sql, re.IGNORECASE | re.DOTALL)


def create_database(session: Session, sql: str) -> None:
    """Create a database."""
    found = matched(
        r"CREATE (?:DATABASE|SCHEMA)( IF NOT EXISTS)? NAME(?: COMMENT '([^']*)')?(?: LOCATION '([^']*)')?"
        r"(?: WITH DBPROPERTIES \(.*\))?",
        sql,
    )
    if found is None:
        raise ddl_failed("cannot recognize input near 'CREATE' 'DATABASE'", parse=True)
    name = plain(found[2])
    if tables.has_database(session.account, name):
        if found[1]:
            return
        raise ddl_failed(f"Database {name} already exists")
    database: Any = {"Name": name, "Description": found[3] or ""}
    if found[4]:
        database["LocationUri"] = found[4]
    session.committing()
    session.account.glue.create_database(DatabaseInput=database)
    session.execution.effects += 1


def drop_database(session: Session, sql: str) -> None:
    """Drop a database, with its tables where CASCADE says so."""
    found = matched(r"DROP (?:DATABASE|SCHEMA)( IF EXISTS)? NAME( CASCADE| RESTRICT)?", sql)
    if found is None:
        raise ddl_failed("cannot recognize input near 'DROP' 'DATABASE'", parse=True)
    name = plain(found[2])
    if not tables.has_database(session.account, name):
        if found[1]:
            return
        raise ddl_failed(f"SemanticException [Error 10072]: Database does not exist: {name}")
    cascade = (found[3] or "").strip().upper() == "CASCADE"
    entries = tables.entries_of(session.account, name)
    if entries and not cascade:
        raise ddl_failed(
            f"InvalidOperationException(message:Database {name} is not empty. One or more tables exist.)"
        )
    session.committing()
    for entry in entries:
        session.account.glue.delete_table(DatabaseName=name, Name=entry["Name"])
    session.account.glue.delete_database(Name=name)
    session.execution.effects += 1


def create_table(session: Session, sql: str, database: str) -> None:
    """Create an empty Iceberg table, or enter a Hive table in Glue."""
    tree = tree_of(sql)
    if not isinstance(tree, exp.Create) or not isinstance(tree.this, exp.Schema):
        raise ddl_failed("cannot recognize input near 'CREATE' 'TABLE'", parse=True)
    name = tables.name_of(tree.this.this, database)
    given = properties.values_of(tree.args.get("properties"))
    iceberg = str(given.get("table_type", "")).upper() == "ICEBERG"
    if iceberg and given.get("external"):
        raise ddl_failed("External keyword not supported for table type ICEBERG")
    if not tables.has_database(session.account, name.database):
        raise ddl_failed(
            f"SemanticException [Error 10072]: Database does not exist: {name.database}"
        )
    if tables.glue_table(session.account, name) is not None:
        if tree.args.get("exists"):
            return
        raise ddl_failed(f"AlreadyExistsException(message:Table {name.table} already exists)")
    if not given.get("location"):
        raise ddl_failed("No location was specified for table. An S3 location must be specified")
    if iceberg:
        _create_iceberg(session, name, sql, tree, given)
        return
    if not given.get("external"):
        # https://docs.aws.amazon.com/athena/latest/ug/create-table.html
        raise ddl_failed("only Iceberg tables can be created without EXTERNAL")
    _create_external(session, name, tree, given)


def _columns(tree: exp.Create) -> list[exp.ColumnDef]:
    return [node for node in tree.this.expressions if isinstance(node, exp.ColumnDef)]


def _comment(column: exp.ColumnDef) -> str | None:
    for constraint in column.args.get("constraints") or []:
        if isinstance(constraint.kind, exp.CommentColumnConstraint):
            return str(constraint.kind.this.name)
    return None


def _create_iceberg(
    session: Session, name: Name, sql: str, tree: exp.Create, given: Mapping[str, Any]
) -> None:
    kept = properties.iceberg_properties(
        given, frozenset({"location", "partitioned_by", "comment"})
    )
    columns = [
        (column.name.lower(), iceberg_of_ddl(column.args["kind"]), _comment(column))
        for column in _columns(tree)
    ]
    schema = Schema(*iceberg_fields(columns))
    parts = _partition_texts(sql)
    spec = UNPARTITIONED_PARTITION_SPEC
    if parts:
        spec = properties.partition_spec(schema, parts, number_first=True)
    session.committing()
    session.account.catalog.create_table(
        (name.database, name.table),
        schema=schema,
        location=str(given["location"]).rstrip("/"),
        partition_spec=spec,
        properties=kept,
    )
    session.execution.effects += 1


def _partition_texts(sql: str) -> list[str]:
    """Return what stands between the parentheses of PARTITIONED BY, at its commas."""
    begin = re.search(r"PARTITIONED\s+BY\s*\(", sql, re.IGNORECASE)
    if begin is None:
        return []
    depth, parts = 1, [""]
    for character in sql[begin.end() :]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if not depth:
            break
        if character == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _create_external(
    session: Session, name: Name, tree: exp.Create, given: Mapping[str, Any]
) -> None:
    columns = [_glue_column(column) for column in _columns(tree)]
    by = tree.find(exp.PartitionedByProperty)
    keys = [
        _glue_column(column)
        for column in (by.this.expressions if by else [])
        if isinstance(column, exp.ColumnDef)
    ]
    stored = _STORED.get(str(given.get("format", "TEXTFILE")).upper(), _STORED["TEXTFILE"])
    special = {
        "format", "location", "external", "serde", "serde properties", "partitioned_by", "comment",
    }  # fmt: skip
    own = {key: str(value) for key, value in given.items() if key not in special}
    entry: Any = {
        "Name": name.table,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": keys,
        "Parameters": {"EXTERNAL": "TRUE", **own},
        "StorageDescriptor": {
            "Columns": columns,
            "Location": given["location"],
            "InputFormat": stored[0],
            "OutputFormat": stored[1],
            "SerdeInfo": {
                "SerializationLibrary": given.get("serde", stored[2]),
                "Parameters": given.get("serde properties", {}),
            },
        },
    }
    session.committing()
    session.account.glue.create_table(DatabaseName=name.database, TableInput=entry)
    session.execution.effects += 1


def _glue_column(column: exp.ColumnDef) -> dict[str, str]:
    kind = column.args["kind"].sql(dialect="hive").lower().replace(": ", ":").replace(", ", ",")
    found = {"Name": column.name.lower(), "Type": kind}
    comment = _comment(column)
    return found | {"Comment": comment} if comment else found


def drop_table(session: Session, sql: str, database: str) -> None:
    """Drop a table; of an Iceberg table the files go too."""
    found = matched(r"DROP TABLE( IF EXISTS)? NAME(?: PURGE)?", sql)
    if found is None:
        raise ddl_failed("cannot recognize input near 'DROP' 'TABLE'", parse=True)
    name = named(found[2], database)
    entry = tables.glue_table(session.account, name)
    if entry is None:
        if found[1]:
            return
        raise ddl_failed(f"SemanticException [Error 10001]: Table not found {name}")
    if tables.is_view(entry):
        raise ddl_failed("SemanticException [Error 10001]: Cannot drop a view with DROP TABLE")
    session.committing()
    session.account.glue.delete_table(DatabaseName=name.database, Name=name.table)
    if tables.is_iceberg(entry):
        location = entry["StorageDescriptor"]["Location"].rstrip("/")
        for uri, _ in session.storage.below(f"{location}/"):
            session.storage.delete(uri)
    session.execution.effects += 1


def alter_table(session: Session, sql: str, database: str) -> None:
    """Change a table.

    Raises:
        StatementError: If Athena has no such change, or not of this kind of table.
    """
    found = re.match(rf"ALTER TABLE ({_NAME})\s+(.*)$", sql, re.IGNORECASE | re.DOTALL)
    if found is None:
        raise ddl_failed("cannot recognize input near 'ALTER' 'TABLE'", parse=True)
    name, action = named(found[1], database), found[2].strip()
    entry = tables.glue_table(session.account, name)
    if entry is None:
        raise ddl_failed(f"SemanticException [Error 10001]: Table not found {name}")
    if tables.is_iceberg(entry):
        _alter_iceberg(session, name, action)
    else:
        _alter_hive(session, name, entry, action)


def _alter_iceberg(session: Session, name: Name, action: str) -> None:
    table = tables.iceberg_table(session.account, name)
    session.committing()
    try:
        _change_iceberg(session, table, action)
    except CommitFailedException as error:
        raise failed(
            "ICEBERG_COMMIT_ERROR", f"Failed to commit Iceberg update to table: {name}"
        ) from error
    except (ValueError, ValidationError) as error:
        raise ddl_failed(str(error)) from error
    session.execution.effects += 1


def _change_iceberg(session: Session, table: IcebergTable, action: str) -> None:
    if found := matched(r"ADD COLUMNS \((.*)\)", action):
        with table.update_schema() as update:
            for column in _column_list(found[1]):
                update.add_column(
                    column.name.lower(), iceberg_of_ddl(column.args["kind"]), _comment(column)
                )
    elif found := matched(r"DROP COLUMN (`[^`]+`|\w+)", action):
        with table.update_schema(allow_incompatible_changes=True) as update:
            update.delete_column(plain(found[1]))
    elif found := matched(
        r"CHANGE(?: COLUMN)? (`[^`]+`|\w+) (`[^`]+`|\w+) (.+?)( FIRST| AFTER (?:`[^`]+`|\w+))?",
        action,
    ):
        (column,) = _column_list(f"{found[2]} {found[3]}")
        with table.update_schema() as update:
            _change_column(update, plain(found[1]), column, (found[4] or "").strip())
    elif found := matched(r"SET TBLPROPERTIES \((.*)\)", action):
        pairs = _pairs(found[1])
        properties.check_settable(list(pairs))
        with table.transaction() as transaction:
            transaction.set_properties(pairs)
    elif found := matched(r"UNSET TBLPROPERTIES(?: IF EXISTS)? \((.*)\)", action):
        keys = re.findall(r"'([^']*)'", found[1])
        with table.transaction() as transaction:
            transaction.remove_properties(*[key for key in keys if key in table.properties])
    elif found := matched(r"RENAME TO NAME", action):
        target = named(found[1], table.name()[0])
        session.account.catalog.rename_table(table.name(), (target.database, target.table))
    else:
        # https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-evolving-table-schema.html
        raise ddl_failed(
            f"Operation not supported for Iceberg tables: {action.split('(', maxsplit=1)[0].strip()}"
        )


def _change_column(update: UpdateSchema, old: str, column: exp.ColumnDef, place: str) -> None:
    kind = iceberg_of_ddl(column.args["kind"])
    update.update_column(old, field_type=kind, doc=_comment(column))
    if place.upper() == "FIRST":
        update.move_first(old)
    elif place:
        update.move_after(old, plain(place.split()[1]))
    if column.name.lower() != old:
        update.rename_column(old, column.name.lower())


def _column_list(text: str) -> list[exp.ColumnDef]:
    tree = sqlglot.parse_one(f"CREATE TABLE x ({text})", read="hive")
    return [node for node in tree.this.expressions if isinstance(node, exp.ColumnDef)]


def _pairs(text: str) -> dict[str, str]:
    return dict(re.findall(r"'([^']*)'\s*=\s*'([^']*)'", text))


_PARTITION = re.compile(r"PARTITION\s*\(([^)]*)\)(?:\s*LOCATION\s*'([^']*)')?", re.IGNORECASE)


def _partition_values(entry: dict[str, Any], text: str) -> list[str]:
    given = dict(re.findall(r"`?(\w+)`?\s*=\s*'?([^',]*)'?", text))
    keys = [key["Name"] for key in entry["PartitionKeys"]]
    if {key.lower() for key in given} != set(keys):
        raise ddl_failed(f"SemanticException Partition spec {given} contains non-partition columns")
    return [given[key].strip() for key in keys]


def _alter_hive(session: Session, name: Name, entry: dict[str, Any], action: str) -> None:
    session.committing()
    if re.match(r"ADD\s+(IF NOT EXISTS\s+)?PARTITION", action, re.IGNORECASE):
        _add_partitions(session, name, entry, action)
    elif re.match(r"DROP\s+(IF EXISTS\s+)?PARTITION", action, re.IGNORECASE):
        for text, _ in _PARTITION.findall(action):
            values = _partition_values(entry, text)
            session.account.glue.delete_partition(
                DatabaseName=name.database, TableName=name.table, PartitionValues=values
            )
    elif found := matched(r"ADD COLUMNS \((.*)\)", action):
        entry["StorageDescriptor"]["Columns"] += [_glue_column(c) for c in _column_list(found[1])]
        _put(session, name, entry)
    elif found := matched(r"REPLACE COLUMNS \((.*)\)", action):
        entry["StorageDescriptor"]["Columns"] = [_glue_column(c) for c in _column_list(found[1])]
        _put(session, name, entry)
    elif found := matched(r"SET TBLPROPERTIES \((.*)\)", action):
        entry["Parameters"] |= _pairs(found[1])
        _put(session, name, entry)
    elif found := matched(r"SET LOCATION '([^']*)'", action):
        entry["StorageDescriptor"]["Location"] = found[1]
        _put(session, name, entry)
    else:
        raise ddl_failed(f"Operation not supported: {action.split('(', maxsplit=1)[0].strip()}")
    session.execution.effects += 1


def _add_partitions(session: Session, name: Name, entry: dict[str, Any], action: str) -> None:
    quiet = re.match(r"ADD\s+IF NOT EXISTS", action, re.IGNORECASE) is not None
    keys = [key["Name"] for key in entry["PartitionKeys"]]
    folder = entry["StorageDescriptor"]["Location"].rstrip("/")
    for text, location in _PARTITION.findall(action):
        values = _partition_values(entry, text)
        default = "/".join([folder, *(f"{k}={v}" for k, v in zip(keys, values, strict=True))])
        place: Any = {**entry["StorageDescriptor"], "Location": location or f"{default}/"}
        try:
            session.account.glue.create_partition(
                DatabaseName=name.database,
                TableName=name.table,
                PartitionInput={"Values": values, "StorageDescriptor": place},
            )
        except session.account.glue.exceptions.AlreadyExistsException as error:
            if not quiet:
                raise ddl_failed(
                    f"AlreadyExistsException: Partition already exists {values}"
                ) from error


def _put(session: Session, name: Name, entry: dict[str, Any]) -> None:
    kept = (
        "Name",
        "TableType",
        "PartitionKeys",
        "Parameters",
        "StorageDescriptor",
        "Owner",
        "Description",
    )
    table: Any = {key: entry[key] for key in kept if key in entry}
    session.account.glue.update_table(DatabaseName=name.database, TableInput=table)


def repair(session: Session, sql: str, database: str) -> Sequence[str]:
    """Enter the ``key=value`` folders of a table in Glue that are not there yet; return what was found."""
    found = matched(r"MSCK REPAIR TABLE NAME(?: (?:ADD|DROP|SYNC) PARTITIONS)?", sql)
    if found is None:
        raise ddl_failed("cannot recognize input near 'MSCK'", parse=True)
    name = named(found[1], database)
    entry = tables.glue_table(session.account, name)
    if entry is None or tables.is_iceberg(entry):
        raise ddl_failed(
            f"SemanticException table is not partitioned but partition spec exists: {name}"
        )
    keys = [key["Name"] for key in entry["PartitionKeys"]]
    folder = entry["StorageDescriptor"]["Location"].rstrip("/") + "/"
    known = {part.values for part in hive.partitions_of(session.account, name, entry)}
    values = set()
    for uri, _ in session.storage.below(folder):
        parts = uri.removeprefix(folder).split("/")[: len(keys)]
        pairs = [part.partition("=") for part in parts]
        if [key for key, _, _ in pairs] == keys:
            values.add(tuple(value for _, _, value in pairs))
    session.committing()
    new = sorted(values - known)
    for value in new:
        place = "/".join(f"{k}={v}" for k, v in zip(keys, value, strict=True))
        descriptor: Any = {**entry["StorageDescriptor"], "Location": f"{folder}{place}/"}
        session.account.glue.create_partition(
            DatabaseName=name.database,
            TableName=name.table,
            PartitionInput={"Values": list(value), "StorageDescriptor": descriptor},
        )
    session.execution.effects += 1
    named_ = ["/".join(f"{k}={v}" for k, v in zip(keys, value, strict=True)) for value in new]
    return [f"Repair: Added partition to metastore {name}:{part}" for part in named_]
