"""Forwarding events from NDJSON to S3 and Glue, beside awswrangler, at the tests' Athena endpoint.

awswrangler appends a DataFrame to a dataset by day, as its documentation has it. It keeps no receipts, so
that a file that comes twice is there twice; within one file pandas can drop what is repeated.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from benchmarks.polling import REGION, endpoint, new_account
from benchmarks.subjects import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.forwarding import Way
    from benchmarks.polling import Account

BARE = "awswrangler"
DISTINCT = "awswrangler_distinct"
AWSWRANGLER = (DISTINCT, BARE)
DATABASE = "shop"
OBJECTS = ("user_object", "statsig_metadata", "company_metadata")


def missing() -> str | None:
    """Return why awswrangler cannot take part; None where it can."""
    return None if find_spec("awswrangler") else "awswrangler is not installed"


@contextmanager
def ways() -> Iterator[dict[str, Way]]:
    """Return name → way to load a file, each into an account of its own."""
    with endpoint() as url:
        found: dict[str, Way] = {OURS: partial(_forward, new_account(url))}
        if missing() is None:
            found[DISTINCT] = partial(_append, new_account(url), distinct=True)
            found[BARE] = partial(_append, new_account(url), distinct=False)
        yield found


def _forward(account: Account, path: Path, place: Path) -> int:
    import statsig_staging as staging

    _use(account)
    connection = {
        "warehouse": "athena",
        "region": REGION,
        "bucket": account.bucket,
        "folder": "statsig",
        "database": DATABASE,
        "query_results": account.results,
        "endpoint_url": account.url,
    }
    project = staging.Project.model_validate({"connection": connection, "root": place})
    with staging.connect(project) as engine:
        return engine.forward_events(path).accepted


def _append(account: Account, path: Path, _place: Path, *, distinct: bool) -> int:
    import awswrangler as wr
    import pandas as pd

    _use(account)
    rows = pd.read_json(path, lines=True, dtype=False, convert_dates=False)
    rows["timestamp"] = pd.to_datetime(rows["timestamp"], format="ISO8601")
    for name in OBJECTS:
        rows[name] = rows[name].map(json.dumps)
    if distinct:
        rows = rows.drop_duplicates()
    rows["ds"] = rows["timestamp"].dt.date
    wr.s3.to_parquet(
        rows,
        path=f"s3://{account.bucket}/events/",
        dataset=True,
        mode="append",
        partition_cols=["ds"],
        database=DATABASE,
        table="events",
    )
    return len(rows)


def _use(account: Account) -> None:
    """Have clients of this process find an account."""
    os.environ.update({key.upper(): value for key, value in account.keys.items()})
    os.environ.update(AWS_ENDPOINT_URL=account.url, AWS_DEFAULT_REGION=REGION)
