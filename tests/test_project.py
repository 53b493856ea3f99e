"""A folder of files becomes a project, or one error with every mistake of every file."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import pytest

from statsig_staging.config import LocalConnection, SumMetric
from statsig_staging.errors import ConfigError
from statsig_staging.project import json_schema, load_project

if TYPE_CHECKING:
    from pathlib import Path

MAIN = """
connection:
  warehouse: local
  sources:
    shop.exposures: data/exposures/*.parquet
    shop.events: [data/events/*.csv]
"""
SOURCES = """
assignment_sources:
  - name: exposures
    table: '"shop"."exposures"'
    timestamp: exposed_at
    experiment_id: experiment_id
    group_id: group_id
    units: {user_id: user_id}
metric_sources:
  - {name: events, table: shop.events, timestamp: ts, units: {user_id: user_id}}
"""
METRICS = """
metrics:
  - {name: purchases, type: count, source: events, filter: "kind = 'purchase'"}
"""
EXPERIMENTS = """
experiments:
  - id: 123
    assignment_source: exposures
    unit: user_id
    start: 2026-01-01
    end: 2026-01-31
    groups: [control, test]
    metrics: [purchases]
"""


def write(folder: Path, **files: str) -> Path:
    """Write a whole project into ``folder``; each keyword replaces or adds the file of its name."""
    texts = {"staging": MAIN, "sources": SOURCES, "metrics": METRICS, "experiments": EXPERIMENTS}
    for name, text in (texts | files).items():
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")
    return folder


def problems(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_project(folder)
    return list(caught.value.problems)


def test_a_folder_is_a_project(tmp_path: Path) -> None:
    """The lists of all files come together, with dates and numbers read as such."""
    project = load_project(write(tmp_path))

    experiment = project.experiment("123")
    assert (experiment.start, experiment.end) == (date(2026, 1, 1), date(2026, 1, 31))
    assert isinstance(project.connection, LocalConnection)
    assert project.connection.sources["shop.events"] == ("data/events/*.csv",)
    assert project.root == tmp_path


def test_one_file_is_enough(tmp_path: Path) -> None:
    """staging.yml may hold everything."""
    (tmp_path / "staging.yml").write_text(MAIN + SOURCES + METRICS + EXPERIMENTS)

    assert load_project(str(tmp_path)).experiment("123").metrics == ("purchases",)


def test_the_same_list_in_several_files(tmp_path: Path) -> None:
    """A list may be spread over files of both endings; hidden files are left alone."""
    write(tmp_path)
    (tmp_path / "more.yaml").write_text("metrics: [{name: rows, type: count, source: events}]")
    (tmp_path / ".hidden.yml").write_text("nonsense: true")
    (tmp_path / "notes.txt").write_text("metrics: nonsense")

    assert sorted(metric.name for metric in load_project(tmp_path).metrics) == ["purchases", "rows"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "metrics:\n", "metrics: []\n"])
def test_empty_files_are_fine(tmp_path: Path, text: str) -> None:
    """A file or a list without content is no mistake."""
    load_project(write(tmp_path, extra=text))


def test_a_missing_folder_says_what_to_type(tmp_path: Path) -> None:
    """Without a folder the error names the command that makes one."""
    [line] = problems(tmp_path / "nowhere")

    assert "there is no such folder" in line
    assert "statsig-staging init" in line


def test_a_missing_main_file_says_what_to_type(tmp_path: Path) -> None:
    """Without staging.yml the error names the command that makes one."""
    [line] = problems(tmp_path)

    assert "there is no staging.yml" in line
    assert "statsig-staging init" in line


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    """Every line names its file and the path inside it."""
    folder = write(
        tmp_path,
        staging=MAIN + "  threads: none\nconection: {}\n",
        sources=SOURCES.replace("timestamp: ts", "timestmp: ts"),
        metrics=METRICS + "  - {name: purchases, type: funnels, cuped: {}}\n",
        experiments=EXPERIMENTS.replace("[purchases]", "[purchase]").replace("user_id", "user"),
        extra="metrics: 3\nconnection: {}\n",
    )

    assert problems(folder) == [
        "staging.yml: conection: unknown key; did you mean 'connection'?",
        "extra.yml: metrics: should be a list",
        "extra.yml: connection: belongs in staging.yml",
        "staging.yml: connection.threads: should be a valid integer, unable to parse string as an"
        " integer",
        "sources.yml: metric_sources[0].timestamp: is required",
        "sources.yml: metric_sources[0].timestmp: unknown key; did you mean 'timestamp'?",
        "metrics.yml: metrics[1].type: unknown metric type 'funnels';"
        " supported: composite, count, count_distinct, first_value, funnel, latest_value, max, mean,"
        " min, percentile, ratio, retention, sum, unit_count; did you mean 'funnel'?",
        "metrics.yml: metrics[1].name: duplicate name 'purchases'; see metrics.yml: metrics[0].name",
        "experiments.yml: experiments[0].unit: assignment source 'exposures' has no unit type 'user';"
        " did you mean 'user_id'?",
        "experiments.yml: experiments[0].metrics[0]: there is no metric 'purchase';"
        " did you mean 'purchases'?",
    ]


def test_a_duplicate_across_files_names_both(tmp_path: Path) -> None:
    """The second of two equal names points at the first."""
    [line] = problems(write(tmp_path, zoo=METRICS))

    expected = (
        "zoo.yml: metrics[0].name: duplicate name 'purchases'; see metrics.yml: metrics[0].name"
    )
    assert line == expected


def test_a_missing_connection_is_a_problem(tmp_path: Path) -> None:
    """staging.yml without a connection is refused."""
    [line] = problems(write(tmp_path, staging="# nothing"))

    assert line.startswith("staging.yml: connection: is required")


@pytest.mark.parametrize(
    "text",
    ["metrics: [", "metrics:\n  - a: 'x\n", "a: b: c\n", "- {\n", "\tmetrics: []\n", "a: *b\n"],
)
def test_a_syntax_error_names_file_and_line(tmp_path: Path, text: str) -> None:
    """YAML that cannot be read names its place, and causes no further errors."""
    [line] = problems(write(tmp_path, metrics=text))

    place, _, message = line.partition(": ")
    assert place.startswith("metrics.yml:")
    assert place.removeprefix("metrics.yml:").isdigit()
    assert message.startswith("is not YAML")


def test_an_unreadable_main_file_hides_no_other_mistake(tmp_path: Path) -> None:
    """The other files are still checked when staging.yml cannot be read."""
    found = problems(write(tmp_path, staging="connection: {", metrics=METRICS + "  - {name: x}\n"))

    assert [line.split(": ")[0] for line in found] == ["staging.yml:1", "metrics.yml"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x00\n", b"metrics: \xc3\x28\n"])
def test_bytes_that_are_no_text_are_a_problem(tmp_path: Path, content: bytes) -> None:
    """A binary file is refused by name."""
    (write(tmp_path) / "metrics.yml").write_bytes(content)

    [line] = problems(tmp_path)
    assert line.startswith("metrics.yml")


@pytest.mark.parametrize("text", ["[1, 2]", "text", "&a [*a]"])
def test_a_file_is_a_mapping(tmp_path: Path, text: str) -> None:
    """A file that holds anything else is refused by name."""
    assert problems(write(tmp_path, metrics=text)) == [
        "metrics.yml: should be a mapping of keys to values"
    ]


def test_a_list_inside_itself_is_a_problem(tmp_path: Path) -> None:
    """A YAML alias cannot send the reader round for ever."""
    [line] = problems(write(tmp_path, extra="metrics: &a [*a]"))

    assert line == "extra.yml: is nested too deeply"


def test_duplicate_keys_are_a_problem(tmp_path: Path) -> None:
    """A key that stands twice in one mapping is named with its line, at any depth."""
    twice = "metrics:\n  - name: purchases\n    type: count\n    type: count\n    source: events\n"

    assert problems(write(tmp_path, metrics=f"{twice}metrics: []\n", experiments="")) == [
        "metrics.yml:6: duplicate key 'metrics'",
        "metrics.yml:4: duplicate key 'type'",
    ]


def test_scalars_stay_what_was_written(tmp_path: Path) -> None:
    """Ids and groups that look like numbers, dates or truth values keep their characters."""
    experiments = EXPERIMENTS.replace("id: 123", "id: 0123").replace(
        "[control, test]", "[on, off, 1.10, 2026-01-01, 0x1F, 1_000, 12:30]"
    )

    experiment = load_project(write(tmp_path, experiments=experiments)).experiment("0123")

    assert experiment.groups == ("on", "off", "1.10", "2026-01-01", "0x1F", "1_000", "12:30")


@pytest.mark.parametrize("null", ["", "~", "null"])
def test_null_is_nothing(tmp_path: Path, null: str) -> None:
    """An empty value counts as left out."""
    experiments = EXPERIMENTS.replace("end: 2026-01-31", f"end: {null}")

    assert load_project(write(tmp_path, experiments=experiments)).experiment("123").end is None


def test_merge_keys_work(tmp_path: Path) -> None:
    """YAML anchors and merges are part of the language."""
    metrics = """
metrics:
  - &base {name: purchases, type: count, source: events}
  - {<<: *base, name: more}
"""

    project = load_project(write(tmp_path, metrics=metrics))

    assert [metric.name for metric in project.metrics] == ["purchases", "more"]


def test_the_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is filled in anywhere in a value, and an escaped one is left as text."""
    monkeypatch.setenv("DATA", "/lake")
    monkeypatch.setenv("THREADS", "2")
    main = MAIN.replace("data/exposures", "${DATA}/$${DATA}") + "  threads: ${THREADS}\n"

    connection = load_project(write(tmp_path, staging=main)).connection

    assert isinstance(connection, LocalConnection)
    assert connection.sources["shop.exposures"] == ("/lake/${DATA}/*.parquet",)
    assert connection.threads == 2


def test_macros_are_no_variables(tmp_path: Path) -> None:
    """Macros in SQL and braces without a dollar sign stay as they are."""
    sql = "SELECT * FROM shop.events WHERE ds >= {statsig_start_date} AND x <> '{}'"
    sources = SOURCES.replace("table: shop.events", f'sql: "{sql}"')

    assert load_project(write(tmp_path, sources=sources)).metric_source("events").sql == sql


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NO_SUCH_VARIABLE}", "environment variable NO_SUCH_VARIABLE is not set"),
        ("${}", "'${' starts no variable"),
        ("${A-B}", "'${' starts no variable"),
        ("${OPEN", "'${' starts no variable"),
    ],
)
def test_a_missing_variable_is_one_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """A variable that is not set is named once, with its place."""
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)

    [line] = problems(write(tmp_path, staging=f"{MAIN}  threads: '{text}'\n"))

    assert line.startswith(f"staging.yml: connection.threads: {message}")


@pytest.mark.parametrize("secret", ["hunter2", 'it\'s "quoted"\nand long', "x" * 500, "abc"])
def test_values_of_the_environment_are_never_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """A wrong value that came from the environment is called by its variable."""
    monkeypatch.setenv("SECRET", secret)
    folder = write(
        tmp_path,
        metrics=METRICS + "  - {name: x, type: count, source: '${SECRET}'}\n",
        experiments=EXPERIMENTS.replace("[purchases]", "['${SECRET}']"),
        staging=MAIN.replace("warehouse: local", "warehouse: ${SECRET}"),
    )

    with pytest.raises(ConfigError) as caught:
        load_project(folder)

    text = str(caught.value)
    assert "${SECRET}" in text
    assert secret not in text
    assert repr(secret)[1:-1] not in text


def test_defaults_fill_what_is_missing(tmp_path: Path) -> None:
    """A default applies where an entry lacks the key and its type has it."""
    defaults = """
defaults:
  assignment_sources: {lookback_days: 4}
  metric_sources: {lookback_days: 3, partition: {column: ds}}
  metrics: {source: events, value: amount}
  experiments: {assignment_source: exposures, unit: user_id, crossover: first_group}
"""
    more = """
metric_sources:
  - {name: own, sql: SELECT 1, timestamp: ts, units: {user_id: u}, lookback_days: 0}
  - {name: none, table: a.b, timestamp: ts, units: {user_id: u}, partition: null}
metrics:
  - {name: revenue, type: sum}
"""

    project = load_project(write(tmp_path, staging=MAIN + defaults, more=more))

    sources = {source.name: source for source in project.metric_sources}
    assert {name: source.lookback_days for name, source in sources.items()} == {
        "events": 3,
        "own": 0,
        "none": 3,
    }
    assert [name for name, source in sources.items() if source.partition] == ["events"]
    assert project.assignment_source("exposures").lookback_days == 4
    assert project.experiment("123").crossover == "first_group"
    revenue = project.metric("revenue")
    assert isinstance(revenue, SumMetric)
    assert (revenue.source, revenue.value) == ("events", "amount")


def test_a_wrong_default_is_reported_where_it_stands(tmp_path: Path) -> None:
    """A mistake in the defaults is reported once, at the defaults."""
    defaults = """
defaults:
  metric_sources: {lookback_days: -1, timestmp: x}
  metrics: {sesion: x}
  metric: {}
"""
    more = "metric_sources: [{name: b, table: a.b, timestamp: ts, units: {user_id: u}}]"

    assert problems(write(tmp_path, staging=MAIN + defaults, more=more)) == [
        "staging.yml: defaults.metric_sources.timestmp: unknown key; did you mean 'timestamp'?",
        "staging.yml: defaults.metrics.sesion: unknown key; did you mean 'session'?",
        "staging.yml: defaults.metric: unknown key; did you mean 'metrics'?",
        "staging.yml: defaults.metric_sources.lookback_days: should be greater than or equal to 0",
    ]


def test_a_missing_variable_in_defaults_is_one_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many entries take the default, its variable is named once."""
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    main = MAIN + "defaults: {metric_sources: {lookback_days: '${NO_SUCH_VARIABLE}'}}\n"

    assert problems(write(tmp_path, staging=main)) == [
        "staging.yml: defaults.metric_sources.lookback_days:"
        " environment variable NO_SUCH_VARIABLE is not set"
    ]


@pytest.mark.parametrize("text", ["defaults: 3\n", "defaults: {metrics: 3}\n"])
def test_defaults_are_mappings(tmp_path: Path, text: str) -> None:
    """Defaults of another shape are refused."""
    [line] = problems(write(tmp_path, staging=MAIN + text))

    assert "should be a mapping" in line


def test_wrong_sql_names_file_and_path(tmp_path: Path) -> None:
    """User SQL is checked when the project is read."""
    sources = SOURCES.replace("table: shop.events", "sql: DROP TABLE shop.events")

    assert problems(write(tmp_path, sources=sources)) == [
        "sources.yml: metric_sources[0].sql: is not a SELECT; write one SELECT, nothing else"
    ]


def test_the_schema_covers_a_project_file() -> None:
    """Editors get the connection, the defaults and the four lists, and refuse other keys."""
    schema = json_schema()

    json.dumps(schema)
    assert set(schema["properties"]) == {
        "connection",
        "defaults",
        "assignment_sources",
        "metric_sources",
        "metrics",
        "experiments",
    }
    assert schema["additionalProperties"] is False
    assert "required" not in schema
    defaults = schema["properties"]["defaults"]["properties"]
    assert set(defaults["metrics"]["properties"]) >= {"source", "value", "filter"}
    assert "name" not in defaults["metrics"]["properties"]
