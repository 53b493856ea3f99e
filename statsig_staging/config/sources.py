"""Sources: where exposures and events lie, as tables or as SELECTs."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator

from statsig_staging.config.fields import (
    Column,
    Days,
    Model,
    Name,
    Query,
    Scalar,
    SourceTable,
    Text,
)

_RESERVED_COLUMNS = frozenset(
    [
        "unit_id",
        "ds",
        "group_id",
        "min_group_id",
        "max_group_id",
        "first_exposure",
        "first_exposure_ds",
        "crossover",
        "crossover_at",
        "is_deleted",
    ]
)
OnUnseenChange: TypeAlias = Literal["warn", "refresh", "fail"]


class Partition(Model):
    """The date column that a table is laid out by.

    Attributes:
        column: Its name.
        early: How many days before the UTC day of its timestamp a row may lie.
        late: How many days after it.
        format: How a date is written in a string column; None for a date column.
    """

    column: Column
    early: Days = 0
    late: Days = 0
    format: Text | None = None


class _Source(Model):
    name: Name
    table: SourceTable | None = None
    sql: Query | None = Field(default=None, validate_default=True)
    timestamp: Column
    units: Annotated[dict[Name, Column], Field(min_length=1)]
    partition: Partition | None = None
    lookback_days: Days = 2
    on_unseen_change: OnUnseenChange = "warn"

    @field_validator("sql")
    @classmethod
    def _table_or_sql(cls, sql: str | None, info: ValidationInfo) -> str | None:
        if "table" in info.data and (info.data["table"] is None) == (sql is None):
            raise ValueError("needs exactly one of table and sql")
        return sql

    @field_validator("partition")
    @classmethod
    def _goes_with_table(
        cls, partition: Partition | None, info: ValidationInfo
    ) -> Partition | None:
        if partition and info.data.get("table", "unknown") is None:
            raise ValueError("goes with table; in sql, use {statsig_start_date} and its kin")
        return partition


class AssignmentSource(_Source):
    """Where exposures lie: a table, or one SELECT.

    Attributes:
        name: Its name in the project.
        table: The table; None with ``sql``.
        sql: One SELECT; None with ``table``.
        timestamp: Column of the moment of exposure, UTC.
        experiment_id: Column of the experiment.
        group_id: Column of the group.
        units: Unit type to column.
        partition: How the table is laid out.
        lookback_days: How far to re-read where changes cannot be seen.
        context: Name to column, kept per unit.
        on_unseen_change: What to do about a change that the lookback does not reach.
    """

    experiment_id: Column
    group_id: Column
    context: dict[Name, Column] = Field(default_factory=dict)

    @field_validator("context")
    @classmethod
    def _own_names(cls, context: dict[str, str]) -> dict[str, str]:
        folded = [name.lower() for name in context]
        if taken := sorted(_RESERVED_COLUMNS.intersection(folded)):
            raise ValueError(f"{taken[0]!r} is a column of the staging tables; choose another name")
        if len(set(folded)) != len(folded):
            raise ValueError("has two names that differ in case only")
        return context


class MetricSource(_Source):
    """Where events or facts lie: a table, or one SELECT.

    Attributes:
        name: Its name in the project.
        table: The table; None with ``sql``.
        sql: One SELECT; None with ``table``.
        timestamp: Column of the moment of the event, UTC.
        timestamp_is_date: Whether it is a date, so that rows of day 0 count.
        units: Unit type to column.
        columns: Alias to scalar expression.
        partition: How the table is laid out.
        lookback_days: How far to re-read where changes cannot be seen.
        on_unseen_change: What to do about a change that the lookback does not reach.
    """

    timestamp_is_date: bool = False
    columns: dict[Name, Scalar] = Field(default_factory=dict)
