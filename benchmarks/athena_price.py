"""What loads cost at Athena: statements, bytes scanned and their price, and on paper with a billion events a day.

The loads run at the tests' Athena endpoint, over sources that are Iceberg tables in its Glue. Bytes are those
that it says each statement scanned, which come from the sizes of real files. What scans everything on each
day is measured by a SELECT that names the columns that the metrics need.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import datasets, ours, scenarios
from benchmarks.answers import wrong_rows
from benchmarks.metrics import EXPERIMENT_ID, EXPOSURE_COLUMNS, SETS
from benchmarks.polling import REGION, endpoint, new_account
from benchmarks.process import default_threads
from benchmarks.report import surroundings, table
from benchmarks.scenarios import SCENARIOS, Limits
from benchmarks.subjects import BY_HAND, OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyiceberg.catalog.glue import GlueCatalog

    from benchmarks.datasets import Dataset
    from benchmarks.polling import Account
    from benchmarks.process import Files, Load
    from benchmarks.report import Record
    from benchmarks.scenarios import Scenario

NAME = "athena_price"
LOADS = ("full_load", "one_more_day", "nothing_changed", "late_file", "new_metric")
RECOMPUTE = f"{BY_HAND}_recompute"
"""Whoever scans the sources of all days, once, and nothing else."""

PRICE_PER_TB = 5.0
"""US dollars for 10^12 bytes: https://aws.amazon.com/athena/pricing."""

EVENTS_A_DAY = 1_000_000_000

_SHOP = "shop"
_STAGING = "statsig_staging"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What some statements cost.

    Attributes:
        statements: How many ran.
        bytes_scanned: What they scanned.
        dollars: Their price, at least that of 10 MB for each that is billed.
    """

    statements: int
    bytes_scanned: int
    dollars: float


def measure(scale: str, *, root: Path = datasets.ROOT) -> list[Record]:
    """Return a record of each load."""
    dataset = datasets.ensure(datasets.SCALES[scale], root=root)
    scenarios.RUNS.mkdir(exist_ok=True)
    with endpoint() as url, tempfile.TemporaryDirectory(dir=scenarios.RUNS) as place:
        return [
            {
                "scenario": NAME,
                "how": name,
                "scale": scale,
                "subjects": _subjects(url, SCENARIOS[name], dataset, Path(place) / name),
                **surroundings(),
            }
            for name in LOADS
        ]


def _subjects(url: str, scenario: Scenario, dataset: Dataset, folder: Path) -> Record:
    account = new_account(url)
    folder.mkdir()
    with _environment(account):
        lake = Lake(account)
        found = {OURS: _load(account, lake, scenario, dataset, folder)}
        if scenario.name == "full_load":
            found[RECOMPUTE] = _scan(account)
    return found


@contextmanager
def _environment(account: Account) -> Iterator[None]:
    """Have clients find an account through the environment, as a user's do."""
    found = {key.upper(): value for key, value in account.keys.items()}
    found["AWS_EC2_METADATA_DISABLED"] = "true"
    before = {key: os.environ.get(key) for key in found}
    os.environ.update(found)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


class Lake:
    """The sources: Iceberg tables by day in the Glue of an account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._catalog = _catalog(account)
        self._catalog.create_namespace_if_not_exists(_STAGING)
        self._known: set[str] = set()

    def add(self, added: Files) -> None:
        """Append files, each on its own."""
        for name, days in added.items():
            for day, files in days.items():
                for file in files:
                    self._append(name, _rows(file, date.fromisoformat(day)))

    def _append(self, name: str, rows: pa.Table) -> None:
        if name not in self._known:
            place = f"s3://{self._account.bucket}/sources/{name}"
            made = self._catalog.create_table((_SHOP, name), rows.schema, location=place)
            with made.update_spec() as update:
                update.add_identity("ds")
            self._known.add(name)
        self._catalog.load_table((_SHOP, name)).append(rows)


def _catalog(account: Account) -> GlueCatalog:
    from pyiceberg.catalog.glue import GlueCatalog

    properties: dict[str, Any] = {
        "client.region": REGION,
        "client.access-key-id": account.keys["aws_access_key_id"],
        "client.secret-access-key": account.keys["aws_secret_access_key"],
        "glue.endpoint": account.url,
        "s3.endpoint": account.url,
    }
    return GlueCatalog(f"lake-{account.id}", **properties)


def _rows(file: str, day: date) -> pa.Table:
    rows = pq.read_table(file, partitioning=None)
    # Whether a column may be null differs from file to file.
    columns = pa.schema([field.with_nullable(True) for field in rows.schema])
    return rows.cast(columns).append_column("ds", pa.array([day] * len(rows), pa.date32()))


def _load(
    account: Account, lake: Lake, scenario: Scenario, dataset: Dataset, folder: Path
) -> Record:
    """Do the loads of a scenario, and return what the last one cost."""
    known: set[str] = set()
    seconds = 0.0
    for load in scenarios.loads_of(scenario, OURS, dataset):
        lake.add(load.added)
        known = set(_statement_ids(account))
        began = time.perf_counter()
        _run(account, load, dataset, folder)
        seconds = time.perf_counter() - began
    bill = bill_of(_executions(account, known))
    limits = Limits(threads=default_threads())
    reference = scenarios.reference_of(scenario, dataset, limits, folder / "reference")
    wrong = wrong_rows(folder / "answer.parquet", reference)
    return {**_record(bill), "seconds": round(seconds, 3), "equal": not wrong, "wrong_rows": wrong}


def _run(account: Account, load: Load, dataset: Dataset, folder: Path) -> None:
    import statsig_staging as staging

    connection = {
        "warehouse": "athena",
        "region": REGION,
        "bucket": account.bucket,
        "folder": "statsig",
        "database": _STAGING,
        "query_results": account.results,
        "endpoint_url": account.url,
    }
    found = ours.project(connection, dataset.days[-1].isoformat(), SETS[load.metrics])
    (folder / "staging.yml").write_text(json.dumps(found, indent=2), encoding="utf-8")
    refresh = "full" if load.is_full else "incremental"
    with staging.connect(staging.load_project(folder)) as engine:
        engine.run(EXPERIMENT_ID, refresh=refresh, through=date.fromisoformat(load.days[-1]))
        pq.write_table(engine.results(EXPERIMENT_ID), folder / "answer.parquet")


def _record(bill: Bill) -> Record:
    return {
        "seconds": None,
        "bytes_read": bill.bytes_scanned,
        "statements": bill.statements,
        "files_opened": None,
        "dollars": bill.dollars,
    }


def _athena(account: Account) -> Any:
    import boto3

    known: dict[str, Any] = {"region_name": REGION, "endpoint_url": account.url, **account.keys}
    return boto3.client("athena", **known)


def _scan(account: Account) -> Record:
    """Return what it costs to read the columns of both sources, once."""
    known = set(_statement_ids(account))
    for name, columns in (("exposures", EXPOSURE_COLUMNS), ("events", SETS["ten"].columns)):
        counts = ", ".join(f'count("{column}")' for column in columns)
        _athena(account).start_query_execution(
            QueryString=f'SELECT {counts} FROM "{_SHOP}"."{name}"',
            ResultConfiguration={"OutputLocation": account.results},
        )
    return {**_record(bill_of(_executions(account, known))), "equal": None}


def _statement_ids(account: Account) -> list[str]:
    pages = _athena(account).get_paginator("list_query_executions").paginate()
    return [each for page in pages for each in page["QueryExecutionIds"]]


_AT_A_TIME = 50
"""As many as BatchGetQueryExecution takes."""


def _executions(account: Account, known: set[str]) -> list[Mapping[str, Any]]:
    """Return what Athena says of the statements that are not known, once all have ended."""
    ids = [each for each in _statement_ids(account) if each not in known]
    found: list[Mapping[str, Any]] = []
    for start in range(0, len(ids), _AT_A_TIME):
        asked = ids[start : start + _AT_A_TIME]
        answer = _athena(account).batch_get_query_execution(QueryExecutionIds=asked)
        found += answer["QueryExecutions"]
    if any(each["Status"]["State"] in ("QUEUED", "RUNNING") for each in found):
        time.sleep(0.2)
        return _executions(account, known)
    return found


def bill_of(executions: Sequence[Mapping[str, Any]]) -> Bill:
    """Return what statements cost, as Athena describes them."""
    from statsig_staging.warehouses.athena import costs

    scanned = [each["Statistics"]["DataScannedInBytes"] for each in executions]
    billed = sum(
        costs.billed(
            each["Status"]["State"], each["StatementType"], each.get("SubstatementType", ""), size
        )
        for each, size in zip(executions, scanned, strict=True)
    )
    return Bill(
        statements=len(executions),
        bytes_scanned=sum(scanned),
        dollars=costs.price(billed, PRICE_PER_TB),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPaper:
    """What something would scan with a billion events a day.

    Attributes:
        what: Which loads, of whom.
        bytes_scanned: All of them together.
    """

    what: str
    bytes_scanned: float

    @property
    def dollars(self) -> float:
        """The price; the least that a statement costs does not matter at this size."""
        return self.bytes_scanned / 1e12 * PRICE_PER_TB


def on_paper(records: Sequence[Record]) -> list[OnPaper]:
    """Return what the loads would scan if every day had a billion events, and as many days.

    All that was scanned grows with the number of events: as many events per unit, as many exposures per
    event, files that compress as well. A row of daily loads is as many loads of the last day, which
    find the most staged rows; without increments, day ``n`` scans ``n`` days.
    """
    scanned = {
        (record["how"], name): of["bytes_read"]
        for record in records
        for name, of in record["subjects"].items()
    }
    scale = datasets.SCALES[records[0]["scale"]]
    factor = EVENTS_A_DAY * scale.days / scale.events
    found = [
        OnPaper(what=f"{OURS}: {how}", bytes_scanned=scanned[how, OURS] * factor) for how in LOADS
    ]
    every, days = scanned["full_load", RECOMPUTE] * factor, scale.days
    return [
        *found,
        OnPaper(what=f"sources of {days} days, once", bytes_scanned=every),
        OnPaper(
            what=f"{OURS}: {days} daily loads",
            bytes_scanned=scanned["one_more_day", OURS] * factor * days,
        ),
        OnPaper(what=f"{days} days without increments", bytes_scanned=every * (days + 1) / 2),
    ]


def markdown(records: Sequence[Record]) -> str:
    """Return one row per load and subject, and the same on paper."""
    header = (NAME, "scale", "subject", "statements", "MB scanned", "US$", "answer")
    rows = [
        (
            record["how"],
            record["scale"],
            name,
            str(of["statements"]),
            f"{of['bytes_read'] / 1e6:,.2f}",
            f"{of['dollars']:.5f}",
            {True: "equal", False: f"{of.get('wrong_rows')} wrong rows", None: "-"}[of["equal"]],
        )
        for record in records
        for name, of in record["subjects"].items()
    ]
    paper = [
        (each.what, f"{each.bytes_scanned / 1e9:,.1f}", f"{each.dollars:,.2f}")
        for each in on_paper(records)
    ]
    title = f"on paper: {EVENTS_A_DAY:,} events a day"
    return f"{table(header, rows)}\n\n{table((title, 'GB scanned', 'US$'), paper)}"
