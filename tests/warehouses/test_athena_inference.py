"""Types of expressions on Athena, told from their trees: as the embedded warehouse has them, without running."""

import re
from collections.abc import Iterator

import duckdb
import pytest

from statsig_staging.errors import WarehouseError
from statsig_staging.warehouses.athena.inference import types
from statsig_staging.warehouses.local import dialect, files
from statsig_staging.warehouses.local.drivers import prepared
from tests.athena_endpoint.fixtures import Aws
from tests.strategies import ALIAS, FILTERS, VALUES
from tests.warehouses.test_dialect import ANSWERS, ROW, SCHEMA, parse

EVENTS = {
    "shop.events": {
        "user_id": "varchar",
        "ts": "timestamp(6)",
        "kind": "varchar",
        "amount_cents": "bigint",
        "price": "decimal(12, 2)",
        "void": "unknown",
    }
}

OTHERS = {
    "m * m": "decimal(24, 4)",
    "ceil(m)": "decimal(11, 0)",
    "count_if(i > 5)": "bigint",
}
"""Where DuckDB's type is another, and its answer the same."""

TOLD_BY_ATHENA = {
    "transform(ARRAY[2.5, 3.5], x -> x / 2)",
    "transform(ARRAY[1, 3], x -> x / 2)",
    "k['x']",
    "element_at(k, 'y')",
    "SELECT o FROM shop.t CROSS JOIN UNNEST(a) WITH ORDINALITY AS u(x, o) WHERE x = 2",
}
"""Of which the tree does not tell the type."""


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the row of the dialect's tests."""
    with prepared(duckdb.connect(config={**dialect.SETTINGS})) as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute(ROW)
        yield connection


def of(sql: str) -> dict[str, str]:
    """Return the types of a query over events."""
    return types(parse(sql), EVENTS)


def spelt(kind: str) -> str:
    """Return a type of DuckDB's as Athena spells it."""
    if kind.endswith("[]"):
        return f"array({spelt(kind[:-2].lower())})"
    return re.sub(r"\(\s*(\d+),\s*(\d+)\)", r"(\1, \2)", kind)


@pytest.mark.parametrize("sql", [str(case.values[0]) for case in ANSWERS])
def test_types_are_those_of_the_embedded_warehouse(
    duck: duckdb.DuckDBPyConnection, sql: str
) -> None:
    """Every expression with Athena's answer has the type that DuckDB describes, or is left to Athena."""
    query = parse(sql)
    described = duck.execute(
        "DESCRIBE " + dialect.translate(query, SCHEMA).sql("duckdb", identify=True)
    ).fetchall()
    wanted = [spelt(files.duckdb_type(str(row[1]))) for row in described]
    expected = [] if sql in TOLD_BY_ATHENA else [OTHERS[sql]] if sql in OTHERS else wanted
    assert list(types(query, SCHEMA).values()) == expected


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("amount_cents / 100.0", "double"),
        ("amount_cents / 100", "bigint"),
        ("price * 1.1", "double"),
        ("price * 2", "decimal(22, 2)"),
        ("sum(price)", "decimal(38, 2)"),
        ("count(*)", "bigint"),
        ("avg(amount_cents)", "double"),
        ("CASE WHEN kind = 'a' THEN 1 ELSE 2.5 END", "double"),
        ("CASE WHEN kind = 'a' THEN amount_cents END", "bigint"),
        ("coalesce(amount_cents, 0)", "bigint"),
        ("CAST(ts AS date)", "date"),
        ("ts + INTERVAL '1' DAY", "timestamp(6)"),
        ("date_diff('day', ts, ts)", "bigint"),
        ("date_trunc('day', ts)", "timestamp(6)"),
        ("CAST(kind AS decimal)", "decimal(38, 0)"),
        ("kind || 'x'", "varchar"),
        ("kind IN ('a', 'b') AND ts IS NOT NULL", "boolean"),
        ("NULL", "unknown"),
        ("void", "unknown"),
        ("CAST(1 AS real)", "real"),
        ("CAST(1 AS tinyint)", "tinyint"),
    ],
)
def test_types_of_athena(sql: str, kind: str) -> None:
    """Types are Athena's: literals with a point are doubles, integers divide to integers."""
    assert of(f"SELECT {sql} AS x FROM shop.events") == {"x": kind}


def test_the_expressions_of_the_drawn_projects_have_types() -> None:
    """Filters and values that the property tests draw are conditions and numbers without a statement."""
    columns = {"event_name": "varchar", "flag": "boolean", "qty": "bigint", "amount": "double"}
    tables = {"shop.events": {**columns, ALIAS: "double"}}
    for filter_ in FILTERS:
        assert types(parse(f"SELECT {filter_.sql} AS x FROM shop.events"), tables) == {
            "x": "boolean"
        }
    for value in VALUES:
        found = types(parse(f"SELECT {value.sql} AS x FROM shop.events"), tables)
        assert found["x"] in {"bigint", "double"}


def test_columns_keep_their_order_and_lose_their_case() -> None:
    """Names come as Athena gives them; a star stands for all columns, through any depth."""
    found = of(
        "WITH e AS (SELECT *, amount_cents / 100.0 AS Dollars FROM shop.events) "
        "SELECT q.* FROM (SELECT e.* FROM e) AS q"
    )
    assert found == {**EVENTS["shop.events"], "dollars": "double"}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT knd FROM shop.events", r"column knd cannot be resolved; did you mean 'kind'\?"),
        ("SELECT e.knd FROM shop.events AS e", r"column e\.knd cannot be resolved"),
        ("SELECT 1 FROM shop.events WHERE nothing > 1", "column nothing cannot be resolved"),
        ("SELECT kind AS k FROM shop.events GROUP BY k", "column k cannot be resolved"),
        ("SELECT x FROM (SELECT kind FROM shop.events) AS q", "column x cannot be resolved"),
        (
            "SELECT 1 FROM shop.evnts",
            r"table shop\.evnts does not exist; did you mean 'shop\.events'",
        ),
    ],
)
def test_what_is_missing_is_named(sql: str, message: str) -> None:
    """A column or a table that is not there ends in an error that names it, and what is near."""
    with pytest.raises(WarehouseError, match=message):
        of(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT kind AS k FROM shop.events ORDER BY k",
        "SELECT (SELECT max(x.ts) FROM shop.events AS x WHERE x.user_id = e.user_id) AS m FROM shop.events AS e",
        "SELECT a.kind FROM shop.events AS a JOIN shop.events AS b USING (user_id)",
        "SELECT w FROM shop.events CROSS JOIN UNNEST(split(kind, ',')) AS u(w)",
        "SELECT count(*) FILTER (WHERE kind = 'a') OVER (PARTITION BY user_id) AS n FROM shop.events",
        "SELECT EVENTS.KIND FROM shop.events",
        "SELECT kind FROM shop.events UNION ALL SELECT user_id FROM shop.events",
        "SELECT any_match(split(kind, ','), x -> x = user_id) AS b FROM shop.events",
    ],
)
def test_what_is_there_is_found(sql: str) -> None:
    """Names resolve as they do on Athena: outer ones, aliases in ORDER BY, parts of lambdas, any case."""
    assert len(of(sql)) == 1


def test_results_of_athena_have_these_types(aws: Aws) -> None:
    """The endpoint describes results of statements with the types that were told before."""
    aws.iceberg(
        "events",
        "SELECT 'u' AS user_id, TIMESTAMP '2026-01-01 00:00:00.000000' AS ts, 'a' AS kind, "
        "CAST(5 AS bigint) AS amount_cents, CAST(1 AS decimal(12, 2)) AS price",
    )
    sql = (
        "SELECT amount_cents / 100.0 AS a, amount_cents / 2 AS b, sum(price) AS c, count(*) AS d, "
        "max(ts) AS e, CAST(max(ts) AS date) AS f, max(kind = 'a') AS g, min(kind) AS h "
        "FROM shop.events GROUP BY 1, 2"
    )
    execution = aws.run(sql)
    metadata = aws.client("athena").get_query_results(
        QueryExecutionId=execution["QueryExecutionId"]
    )["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    told = {name: re.sub(r"\(.*", "", kind) for name, kind in of(sql).items()}
    assert {column["Name"]: column["Type"] for column in metadata} == told
