"""Metrics of every type with every option agree with the definitions, after one load and after many."""

from dataclasses import replace

import pytest
from hypothesis import given, seed, settings

from tests.histories import play
from tests.metric_histories import QUIET, histories, play_days, whole
from tests.metric_strategies import new_scenarios


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(2))
def test_every_metric_follows_its_definition(chunk: int) -> None:
    """Loads of late and new rows give what the definitions say, in every rollup."""
    drawn = new_scenarios().map(whole)
    seed(20260301 + chunk)(settings(QUIET, max_examples=8)(given(drawn)(play_days)))()


@pytest.mark.slow
@pytest.mark.parametrize(("chunk", "most"), [(0, None), (1, 2)])
def test_sequences_with_metrics_of_every_type(chunk: int, most: int | None) -> None:
    """Whatever happens, each load is what the definitions say: in one table a source, and in tables of two aggregates."""
    drawn = histories().map(lambda history: replace(history, aggregates_per_table=most))
    seed(20260311 + chunk)(settings(QUIET, max_examples=10)(given(drawn)(play)))()
