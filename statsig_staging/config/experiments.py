"""Experiments: what is analysed."""

from datetime import date
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from statsig_staging import expressions
from statsig_staging.config.fields import Count, Day, Model, Name
from statsig_staging.config.lists import Names, no_repeats
from statsig_staging.config.problems import quote

Rollup: TypeAlias = Literal[
    "daily", "cumulative", "days_since_exposure", "7_day", "14_day", "28_day"
]


class Experiment(Model):
    """One experiment.

    Attributes:
        id: Its id, as the assignment source writes it.
        assignment_source: Where its exposures lie.
        unit: The unit type that is randomised.
        start: First day, UTC.
        end: Last day, inclusive, UTC; None while it runs.
        groups: The groups that count; None for all that are seen.
        control: The control group.
        crossover: What becomes of units seen in two groups.
        metrics: Names of its metrics.
        rollups: Over which days results are computed.
        dimension_units: How many counted units a level of a dimension needs to have rows of its own.
        costly_series: Of which days there are results of metrics whose series cannot be carried from day
            to day: those that are winsorized, and percentiles.
        cohorted_duration: For how many blocks of 24 hours since its first exposure each unit is looked at;
            None for ever.
        completed_cohorts_only: Whether a unit counts only once these are over.
        fixed_duration: For how many days from the first rows of metrics count; None for all.
        mature_after_end: Whether rows after the end count for metrics whose windows are not over.
    """

    id: Name
    assignment_source: Name
    unit: Name
    start: Day
    end: Day | None = None
    groups: Annotated[Names, Field(min_length=1)] | None = None
    control: Name | None = None
    crossover: Literal["exclude", "first_group"] = "exclude"
    metrics: Names
    rollups: Annotated[tuple[Rollup, ...], Field(min_length=1), AfterValidator(no_repeats)] = (
        "daily",
        "cumulative",
    )
    dimension_units: Count = 1
    costly_series: Literal["every_day", "latest"] = "every_day"
    cohorted_duration: Count | None = None
    completed_cohorts_only: bool = False
    fixed_duration: Count | None = None
    mature_after_end: bool = False

    @field_validator("end")
    @classmethod
    def _not_before_start(cls, end: date | None, info: ValidationInfo) -> date | None:
        start = info.data.get("start")
        if end and start and start > end:
            raise ValueError(f"start {start} is after end {end}")
        return end

    @model_validator(mode="after")
    def _durations_go_together(self) -> Self:
        if self.completed_cohorts_only and self.cohorted_duration is None:
            raise ValueError("completed_cohorts_only goes with cohorted_duration")
        if self.mature_after_end and self.end is None:
            raise ValueError("mature_after_end needs an end")
        if self.mature_after_end and self.fixed_duration is not None:
            raise ValueError(
                "mature_after_end does not go with fixed_duration, after which no rows count"
            )
        return self

    @field_validator("control")
    @classmethod
    def _one_of_the_groups(cls, control: str | None, info: ValidationInfo) -> str | None:
        groups = info.data.get("groups")
        if groups is not None and control is not None and control not in groups:
            near = expressions.suggestion(control, groups)
            raise ValueError(f"{quote(control)} is not one of the groups{near}")
        return control
