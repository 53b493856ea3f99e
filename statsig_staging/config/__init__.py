"""What a user declares: a connection, sources, metrics and experiments, checked all at once.

A leading note on names: ``value``, ``filter`` and the values of ``columns`` are scalar expressions in
Athena's SQL; everything else that names a column is a column name, taken as it is, whatever characters
it has. All SQL is checked when the configuration is read.
"""

from statsig_staging.config.connections import (
    AthenaConnection,
    Connection,
    LocalConnection,
    ReadOnly,
)
from statsig_staging.config.experiments import Experiment
from statsig_staging.config.kinds import KINDS, LATER_KINDS, fields_of
from statsig_staging.config.metrics import (
    Component,
    CompositeMetric,
    CountComponent,
    CountDistinctComponent,
    CountDistinctMetric,
    CountMetric,
    Cuped,
    EdgeComponent,
    EdgeMetric,
    ExtremeComponent,
    ExtremeMetric,
    FunnelMetric,
    FunnelStep,
    MeanMetric,
    Metric,
    PercentileMetric,
    RatioMetric,
    RetentionMetric,
    SimpleMetric,
    StepWindow,
    SumComponent,
    SumMetric,
    UnitCountComponent,
    UnitCountMetric,
    Window,
    Winsorize,
)
from statsig_staging.config.problems import Location, Problem, describe, quote, unknown_key
from statsig_staging.config.project import Project, parse_project
from statsig_staging.config.sources import AssignmentSource, MetricSource, Partition

__all__ = [
    "KINDS",
    "LATER_KINDS",
    "AssignmentSource",
    "AthenaConnection",
    "Component",
    "CompositeMetric",
    "Connection",
    "CountComponent",
    "CountDistinctComponent",
    "CountDistinctMetric",
    "CountMetric",
    "Cuped",
    "EdgeComponent",
    "EdgeMetric",
    "Experiment",
    "ExtremeComponent",
    "ExtremeMetric",
    "FunnelMetric",
    "FunnelStep",
    "LocalConnection",
    "Location",
    "MeanMetric",
    "Metric",
    "MetricSource",
    "Partition",
    "PercentileMetric",
    "Problem",
    "Project",
    "RatioMetric",
    "ReadOnly",
    "RetentionMetric",
    "SimpleMetric",
    "StepWindow",
    "SumComponent",
    "SumMetric",
    "UnitCountComponent",
    "UnitCountMetric",
    "Window",
    "Winsorize",
    "describe",
    "fields_of",
    "parse_project",
    "quote",
    "unknown_key",
]
