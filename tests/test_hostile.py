"""Hostile values in every field of the configuration that reaches SQL or a path: none changes what a statement is."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp

from statsig_staging.access.permissions import engine_policy
from statsig_staging.access.policy import document
from statsig_staging.access.scope import scope_of
from statsig_staging.config import AthenaConnection, LocalConnection, Project
from statsig_staging.errors import ConfigError
from statsig_staging.plan import (
    Check,
    CreateTable,
    Drop,
    Merge,
    Read,
    Refresh,
    Replace,
    ReplacePartitions,
)
from statsig_staging.planner import LoadRequest, build_plan
from statsig_staging.sources import Observation, TableObservation
from statsig_staging.warehouses.athena import dml
from statsig_staging.warehouses.athena.guard import admitted
from statsig_staging.warehouses.athena.place import Place
from statsig_staging.warehouses.base import Sighting, Traits
from statsig_staging.warehouses.local.warehouse import LocalWarehouse
from tests.factories import day, make_file
from tests.iam import Need, allows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from statsig_staging.plan import Batch, Write

QUOTES = (
    "'",
    '"',
    "`",
    "''",
    '""',
    "\\'",
    '\\"',
    "\\",
    "\u2019",
    "\u2018",
    "\u201c",
    "\uff07",
    "\uff02",
    "\u02bc",
    "$$",
    "U&'\\0027'",
)
ENDS = (
    ";",
    "--",
    "-- ",
    "/*",
    "*/",
    "/**/",
    "#",
    ")",
    "(",
    "]",
    "}",
    ",",
    "\t",
    "@",
    ":x",
    "?",
    "%",
    "||",
)
STATEMENTS = (
    "DROP TABLE shop.events",
    "DELETE FROM shop.events WHERE true",
    "INSERT INTO shop.events VALUES (1)",
    "SELECT * FROM secrets",
    "UNION ALL SELECT user_id FROM secrets",
    "OR true",
    "OR '1'='1'",
    "CREATE TABLE x AS SELECT 1",
    "OPTIMIZE shop.events REWRITE DATA USING BIN_PACK",
    "UNLOAD (SELECT 1) TO 's3://elsewhere/'",
)
TEMPLATES = (
    "{statsig_start_date}",
    "{statsig_end_date_int}",
    "{{ config }}",
    "${HOME}",
    "$1",
    ":start",
    "%(x)s",
    "{0}",
    "<%= x %>",
    "{{resolve:ssm:x}}",
    "${*}",
    "*",
    "%27%20OR%201",
    "\\u0027",
    "\\x27",
    "&#39;",
    "CHR(39)",
)
PATHS = (
    "..",
    "../..",
    "../../etc/passwd",
    "a/../../b",
    "/etc/passwd",
    "//",
    "./.",
    "s3://elsewhere/x",
    "file:///etc/passwd",
    "~",
    "C:\\Windows",
    "\\\\host\\share",
    "a//b",
    "%2e%2e%2f",
    "..%2f..",
    "\uff0e\uff0e\uff0f",
    "experiment-1/../experiment-2",
    ".hidden",
    "_hidden",
    "con",
    "nul.txt",
)
CHARACTERS = (
    "\0",
    "\n",
    "\r\n",
    "\x1b[31m",
    "\u2028",
    "\u202e",
    "\u200b",
    "\ufeff",
    "\u0130",
    "\u00df",
    "\U0001f642",
    "\u0301",
    "\x7f",
    "\x85",
    "\ud800",
)
WORDS = (
    "", " ", "null", "NULL", "true", "select", "SELECT", "from", "table", "date", "current_date", "row",
    "1", "-1", "1e9", "0x1", "NaN", "user_id", "unit_id", "ds", "group_id", "__t", "q", "t", "s",
    "a" * 300, "\uff41", "A", "a.b", "a b", "a-b", "$path", "$files", "t$snapshots", "*.*", "shop.events",
)  # fmt: skip

VALUES = tuple(
    dict.fromkeys(
        (
            *QUOTES,
            *ENDS,
            *TEMPLATES,
            *PATHS,
            *CHARACTERS,
            *WORDS,
            *(f"{quote}{end}" for quote in ("'", '"', "`", "\\'") for end in ENDS[:8]),
            *(
                f"x{quote}; {statement}; --"
                for quote in ("'", '"', "`")
                for statement in STATEMENTS
            ),
            *(f"x{quote}) {statement} /*" for quote in ("'", '"') for statement in STATEMENTS),
        )
    )
)

HARMLESS: dict[str, str] = {
    "experiment": "123",
    "assignment": "exposures",
    "source": "events",
    "metric": "purchases",
    "group": "control",
    "exposed_at": "exposed_at",
    "experiment_column": "experiment_id",
    "group_column": "group_id",
    "unit_type": "user",
    "unit_column": "user_id",
    "event_unit_column": "user_id",
    "event_at": "ts",
    "context": "device",
    "context_column": "device_name",
    "alias": "usd",
    "event_column": "amount_cents",
    "filter_text": "purchase",
    "value_text": "dollar",
    "database": "shop",
    "table": "orders",
    "folder": "statsig",
}
"""Field \u2192 a harmless value."""

CONNECTION = {
    "warehouse": "athena",
    "region": "us-east-1",
    "bucket": "my-bucket",
    "query_results": "s3://my-bucket/results/",
    "role_arn": "arn:aws:iam::123456789012:role/staging",
}

STRICT: dict[str, Any] = {
    "database": "statsig_staging",
    "bucket": "my-bucket",
    "region": "us-east-1",
    "workgroup": "primary",
    "forwarded_exposures": "exposures",
    "forwarded_events": "events",
    "role_arn": CONNECTION["role_arn"],
    "kms_key": "arn:aws:kms:us-east-1:123456789012:key/x",
    "query_results": "s3://my-bucket/results/",
}
"""Keys of a connection whose values have a form."""


def quoted(name: str) -> str:
    """Return a name in double quotes, as a user writes it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as a literal, as a user writes it."""
    return "'" + value.replace("'", "''") + "'"


def project_of(values: Mapping[str, str]) -> Project:
    """Return a project whose fields have these values."""
    v = {**HARMLESS, **values}
    return Project.model_validate(
        {
            "connection": {**CONNECTION, "folder": v["folder"]},
            "assignment_sources": [
                {
                    "name": v["assignment"],
                    "table": f"{quoted(v['database'])}.{quoted('seen' + v['table'])}",
                    "timestamp": v["exposed_at"],
                    "experiment_id": v["experiment_column"],
                    "group_id": v["group_column"],
                    "units": {v["unit_type"]: v["unit_column"]},
                    "context": {v["context"]: v["context_column"]},
                }
            ],
            "metric_sources": [
                {
                    "name": v["source"],
                    "table": f"{quoted(v['database'])}.{quoted(v['table'])}",
                    "timestamp": v["event_at"],
                    "units": {v["unit_type"]: v["event_unit_column"]},
                    "columns": {v["alias"]: f"{quoted(v['event_column'])} / 100.0"},
                }
            ],
            "metrics": [
                {
                    "name": v["metric"],
                    "type": "sum",
                    "source": v["source"],
                    "value": f"if(kind = {text(v['value_text'])}, {quoted(v['alias'])}, 0.0)",
                    "filter": f"kind = {text(v['filter_text'])}",
                }
            ],
            "experiments": [
                {
                    "id": v["experiment"],
                    "assignment_source": v["assignment"],
                    "unit": v["unit_type"],
                    "start": "2026-01-01",
                    "control": v["group"],
                    "groups": [v["group"], "other group"],
                    "metrics": [v["metric"]],
                }
            ],
        }
    )


@dataclass(frozen=True)
class Sent:
    """The statements of a first load and of one after it, as they would be sent, and where its tables lie."""

    statements: tuple[str, ...]
    locations: tuple[str, ...]


def sent_by(project: Project) -> Sent:
    """Return what the loads of a project send to Athena."""
    (experiment,) = project.experiments
    connection = project.connection
    assert isinstance(connection, AthenaConnection)
    request = LoadRequest(
        project=project,
        experiment=experiment,
        refresh=Refresh.INCREMENTAL,
        through=day(3),
        today=day(10),
        observations={source.name: _observed(source) for source in _sources(project)},
        published=None,
        traits=Traits(days_per_statement=dml.PARTITIONS),
    )
    place = Place(bucket=connection.bucket, folder=connection.folder, database=connection.database)
    statements: list[str] = []
    locations: list[str] = []
    for step in build_plan(request).steps:
        if isinstance(step.action, Check):
            statements.append(admitted(step.action.select, place.database, place.root))
            continue
        statements += _texts(step.action, place)
        locations.append(place.location(step.action.target))
    return Sent(tuple(statements), tuple(locations))


def _sources(project: Project) -> tuple[Any, ...]:
    return (*project.assignment_sources, *project.metric_sources)


def _observed(source: Any) -> Observation:
    """Return a source with one file for each of three days, and all columns that it names."""
    names = [source.timestamp, *source.units.values(), "kind"]
    if hasattr(source, "context"):
        names += [source.experiment_id, source.group_id, *source.context.values()]
    else:
        names += [_column_of(each) for each in source.columns.values()]
    # As Glue spells them.
    columns = {name.lower(): "varchar" for name in names}
    columns[source.timestamp.lower()] = "timestamp(6)"
    parsed = sqlglot.parse_one(f"SELECT * FROM {source.table}", read="athena").find(exp.Table)
    assert parsed is not None
    files = tuple(make_file(f"file{n}", n, columns=columns) for n in (1, 2, 3))
    table = TableObservation(
        table=f"{parsed.db}.{parsed.name}", columns=columns, files=files, dated=True
    )
    return Observation(source=source.name, columns=columns, tables=(table,), dated=True)


def _column_of(expression: str) -> str:
    found = sqlglot.parse_one(expression, read="athena").find(exp.Column)
    assert found is not None
    return found.name


def _texts(write: Write, place: Place) -> Iterator[str]:
    """Return the statements of a write, whether its table is there or not."""
    assert not isinstance(write, Drop)
    table = place.node(write.target)

    def text_of(tree: exp.Expr) -> str:
        return admitted(tree, place.database, place.root)

    for batch in write.batches[:1]:
        location = f"{place.location(write.target)}/"
        rows = dml.rows_of(batch, write.target.columns)
        yield text_of(dml.creation(table, write.target, location, rows))
        match write:
            case Merge():
                yield text_of(_merged(write, batch, table))
            case ReplacePartitions():
                yield text_of(dml.deletion(table, write.partitions))
                # The rows are those of the creation.
                yield text_of(dml.insertion(table, write.target.columns, exp.select("1")))
            case Replace() | CreateTable():
                yield text_of(dml.deletion(table, None))


def _merged(write: Merge, batch: Batch, table: exp.Table) -> exp.Merge:
    return dml.merge(table, write, dml.rows_of(batch, write.target.columns), batch.partitions)


_CONTENT = re.compile(r"_[0-9a-f]{8}$")
"""The end of the name of an aggregate, which is a digest of what it computes."""


def shape(statement: str) -> list[tuple[str, ...]]:
    """Return what a statement is: its tree as it is read back, without literals and quoted identifiers."""
    tree = sqlglot.parse_one(statement, read="athena")
    return [_what(node) for node in tree.walk()]


def _what(node: exp.Expr) -> tuple[str, ...]:
    match node:
        case exp.Identifier():
            return ("quoted",) if node.quoted else ("plain", _CONTENT.sub("", node.name))
        case exp.Literal():
            return ("text",) if node.is_string else ("number", node.name)
        case _:
            flags = [f"{k}={v}" for k, v in node.args.items() if isinstance(v, str | bool)]
            return (node.key, node.arg_key or "", *flags)


@cache
def harmless() -> tuple[list[tuple[str, ...]], ...]:
    """Return the shapes of the statements of the harmless project."""
    return tuple(map(shape, sent_by(project_of({})).statements))


def accepted(value: str) -> dict[str, str]:
    """Return the fields that take a hostile value, each with it; the others refuse it.

    The value stands twice in each, around what keeps names apart.
    """
    wanted = {name: f"{value}{number}{value}" for number, name in enumerate(HARMLESS)}
    try:
        project_of(wanted)
    except (ConfigError, ValueError):
        return {name: found for name, found in wanted.items() if _is_taken(name, found)}
    return wanted


def _is_taken(name: str, value: str) -> bool:
    try:
        project_of({name: value})
    except (ConfigError, ValueError):
        return False
    return True


def test_there_are_enough_values() -> None:
    """At least 200 different values are tried on every field."""
    assert len(VALUES) >= 200


PARTS = 24

FIRST_FAST = [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))]


@pytest.mark.parametrize("part", FIRST_FAST)
def test_no_value_changes_a_statement_or_leaves_the_folder(part: int) -> None:
    """With a hostile value in every field that takes it, statements are those of a harmless project.

    Equal are their trees, as they are read back from the text that is sent, up to literals and quoted identifiers.
    Tables lie in the folder of the experiment below the staging folder, whatever their names are.
    """
    assert len(harmless()) > 10
    for value in VALUES[part::PARTS]:
        values = accepted(value)
        sent = sent_by(project_of(values))
        assert tuple(map(shape, sent.statements)) == harmless(), ascii(value)
        root = f"s3://my-bucket/{values.get('folder', 'statsig')}/experiment-"
        for location in sent.locations:
            assert location.startswith(root), ascii(value)
            below = location.removeprefix(root)
            assert posixpath.normpath(below) == below, ascii(value)


API_ONLY = {"role_arn", "kms_key", "query_results"}
"""Keys that are parameters of AWS's calls, and stand in no SQL."""

_FORBIDDEN = {True: set("\0\n\r"), False: set("'\"`;\0\n\r /*\\")}


@pytest.mark.parametrize("key", STRICT)
def test_connections_take_no_hostile_value(key: str) -> None:
    """Keys of a connection that have a form refuse what has another; what they take is no SQL, and no other place."""
    for value in (*VALUES, *(f"{STRICT[key]}{value}" for value in VALUES)):
        try:
            found = AthenaConnection.model_validate({**CONNECTION, key: value})
        except ValueError:
            continue
        assert not set(getattr(found, key)) & _FORBIDDEN[key in API_ONLY], ascii(value)


def test_a_policy_says_the_folder_and_nothing_else() -> None:
    """Whatever a folder is called, its policy lets files be written below it and not beside it."""
    for value in VALUES:
        try:
            connection = AthenaConnection.model_validate({**CONNECTION, "folder": value})
        except ValueError:
            continue
        policy = document(engine_policy(connection, scope_of(connection)))
        root = f"arn:aws:s3:::{connection.bucket}"
        assert allows(policy, Need("s3:PutObject", f"{root}/{value}/file")), ascii(value)
        assert not allows(policy, Need("s3:PutObject", f"{root}/{value}2/file")), ascii(value)
        assert not allows(policy, Need("s3:PutObject", f"{root}/beside/file")), ascii(value)


RAW = (
    "1; DROP TABLE x",
    "1) FROM secrets --",
    "(SELECT max(user_id) FROM secrets)",
    "true OR EXISTS (SELECT 1 FROM secrets)",
    "1 /* */ -- x",
    "kind = 'a' UNION SELECT 1",
    "INSERT INTO x VALUES (1)",
    "count(*)",
    "sum(amount) OVER ()",
    "{statsig_start_date}",
    "''''",
    "'",
    '"',
    "1 AS x",
    "*",
    "t.*",
    "",
)
"""Raw expressions that are no scalar of the row."""


@pytest.mark.parametrize("raw", RAW)
@pytest.mark.parametrize("field", ["filter", "value"])
def test_an_expression_is_one_scalar_or_refused(field: str, raw: str) -> None:
    """What stands in a filter or a value reads no other table and is no other statement; else it is refused."""
    definition = project_of({}).model_dump(mode="json", exclude={"root"})
    definition["metrics"][0][field] = raw
    try:
        project = Project.model_validate(definition)
    except (ConfigError, ValueError):
        return
    tables = {
        (table.db, table.name)
        for statement in sent_by(project).statements
        for table in sqlglot.parse_one(statement, read="athena").find_all(exp.Table)
    }
    assert "secrets" not in {name for _, name in tables}
    assert {database for database, _ in tables} <= {"statsig_staging", "shop", ""}


def test_local_paths_are_read_as_they_are(tmp_path: Path) -> None:
    """A source of files is read from the folder that its pattern names, whatever it is called, and from no other."""
    values = [value for value in VALUES if _is_folder_name(value)]
    sources = {}
    for number, value in enumerate(values):
        place = tmp_path / "data" / value
        place.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"number": pa.array([number], pa.int64())}), place / "a.parquet")
        sources[f"shop.t{number}"] = (f"data/{value}/a.parquet",)
    assert len(values) > 100
    warehouse = LocalWarehouse(
        LocalConnection(warehouse="local", sources=sources, threads=1), tmp_path
    )
    try:
        for number, value in enumerate(values):
            seen = warehouse.observe(Sighting(table=f"shop.t{number}"), {})
            read = Read(
                table=f"shop.t{number}",
                columns=seen.columns,
                files=seen.files,
                used=frozenset(seen.columns),
            )
            table = exp.table_(f"t{number}", db="shop", quoted=True)
            found = warehouse.fetch(exp.select("number").from_(table), (read,))
            assert found.to_pylist() == [{"number": number}], ascii(value)
    finally:
        warehouse.close()


def _is_folder_name(value: str) -> bool:
    """Return whether a value can be the name of one folder that means itself in a pattern, and no partition."""
    return (
        value not in {"", ".", ".."}
        and not set(value) & set("/\0*?[]=")
        and len(value.encode("utf-8", "surrogatepass")) < 250
        and value.isprintable()
    )
