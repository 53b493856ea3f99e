"""Kinds: the lists that a project has, and the models of their entries."""

from collections.abc import Mapping
from typing import Final

from statsig_staging.config.experiments import Experiment
from statsig_staging.config.fields import Model
from statsig_staging.config.metrics import METRICS
from statsig_staging.config.sources import AssignmentSource, MetricSource

KINDS: Final = ("assignment_sources", "metric_sources", "metrics", "experiments")
"""The lists of a project."""

LATER_KINDS = frozenset({"entity_sources", "qualifying_events"})
"""Lists that a project may have one day."""


def fields_of(kind: str, item: Mapping[str, object]) -> frozenset[str]:
    """Return the keys that ``item`` of the list ``kind`` may have, by its type, table or sql.

    An item without them may have the keys of every type.
    """
    models = models_of(kind)
    if kind == "metrics" and str(item.get("type")) in METRICS:
        models = (METRICS[str(item["type"])],)
    if item.get("sql"):
        excluded = {"table", "partition"}
    else:
        excluded = {"sql"} if item.get("table") else set()
    return frozenset(name for model in models for name in model.model_fields) - excluded


def models_of(kind: str) -> tuple[type[Model], ...]:
    """Return the models that an entry of the list ``kind`` may have."""
    match kind:
        case "assignment_sources":
            return (AssignmentSource,)
        case "metric_sources":
            return (MetricSource,)
        case "metrics":
            return tuple(METRICS.values())
        case _:
            return (Experiment,)
