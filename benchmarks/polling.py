"""What is waited in vain: how long after a statement's end its caller hears of it, and at how many calls.

Statements run at an Athena endpoint in a process of its own, where each is held for as long as it is to
last. Ours, PyAthena's default cursor and awswrangler run the same statements, one alone after the other and
all at once, each with the interval that it has by itself.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks.report import skipped, surroundings
from benchmarks.subjects import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NAME = "polling"
PYATHENA = "pyathena"
AWSWRANGLER = "awswrangler"
LONGEST = {"XS": 1.0, "S": 60.0}
"""Seconds of the longest statement, by scale; that of any other scale is the longest of all."""

_SHORTEST = 0.5
_ALONE = 16
_AT_ONCE = 20
REGION = "us-east-1"

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of the endpoint, and the address that scripts it."""

    url: str
    id: str
    keys: dict[str, str]

    def ask(self, path: str, document: Record | None = None) -> Any:
        """Ask the control address."""
        data = None if document is None else json.dumps(document).encode()
        address = f"{self.url}/_endpoint/accounts/{self.id}/{path}"
        with urllib.request.urlopen(urllib.request.Request(address, data=data)) as answer:
            return json.load(answer)

    @property
    def results(self) -> str:
        """Where results go."""
        return f"s3://{self.bucket}/results/"

    @property
    def bucket(self) -> str:
        """A bucket that is there."""
        return f"lake-{self.id}"


@contextmanager
def endpoint() -> Iterator[str]:
    """Start an endpoint, and return its address."""
    command = [sys.executable, "-m", "tests.athena_endpoint", "--at-once", str(_AT_ONCE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the endpoint says nothing")
            yield process.stdout.readline().split()[2]
        finally:
            process.terminate()


def new_account(url: str) -> Account:
    """Return an account with a bucket and a database."""
    import boto3

    asked = urllib.request.Request(f"{url}/_endpoint/accounts", data=b"{}")
    with urllib.request.urlopen(asked) as answer:
        found = json.load(answer)
    keys = {
        "aws_access_key_id": found["access_key"],
        "aws_secret_access_key": found["secret_key"],
    }
    account = Account(url=url, id=found["account"], keys=keys)
    known: dict[str, Any] = {"region_name": REGION, "endpoint_url": url, **keys}
    boto3.client("s3", **known).create_bucket(Bucket=account.bucket)
    boto3.client("glue", **known).create_database(DatabaseInput={"Name": "shop"})
    return account


@contextmanager
def ours(account: Account) -> Iterator[Callable[[str], str]]:
    """Run statements as the Athena warehouse does."""
    from statsig_staging.config import AthenaConnection
    from statsig_staging.warehouses.athena.clients import open_clients
    from statsig_staging.warehouses.athena.requests import Statement, settings_of
    from statsig_staging.warehouses.athena.statements import Statements

    connection = AthenaConnection(
        warehouse="athena",
        region=REGION,
        bucket=account.bucket,
        database="shop",
        query_results=account.results,
        endpoint_url=account.url,
        max_concurrent_queries=_AT_ONCE,
    )
    os.environ.update({key.upper(): value for key, value in account.keys.items()})
    with open_clients(connection) as clients:
        statements = Statements(clients, _Nowhere(), settings_of(connection))

        def run(sql: str) -> str:
            statement = Statement(
                sql=sql, purpose=NAME, load_id="1", experiment_id="1", reads_only=True
            )
            return statements.run(statement).query_id

        yield run


class _Nowhere:
    """Keeps nothing: SELECTs have no intents."""

    def put_object(self, key: str, data: bytes) -> None:
        raise NotImplementedError

    def get_object(self, key: str) -> bytes | None:
        raise NotImplementedError

    def list_files(self, prefix: str) -> tuple[Any, ...]:
        raise NotImplementedError


@contextmanager
def pyathena(account: Account) -> Iterator[Callable[[str], str]]:
    """Run statements with PyAthena's default cursor and its default interval."""
    from pyathena import connect

    where: dict[str, Any] = {
        "s3_staging_dir": account.results,
        "schema_name": "shop",
        "region_name": REGION,
        "endpoint_url": account.url,
        **account.keys,
    }
    with connect(**where) as connection:

        def run(sql: str) -> str:
            cursor = connection.cursor()
            cursor.execute(sql)
            return str(cursor.query_id)

        yield run


@contextmanager
def awswrangler(account: Account) -> Iterator[Callable[[str], str]]:
    """Run statements with awswrangler's ``start_query_execution`` and its default interval."""
    import awswrangler as wr
    import boto3

    known: dict[str, Any] = {"region_name": REGION, **account.keys}
    session = boto3.Session(**known)
    wr.config.athena_endpoint_url = account.url

    def run(sql: str) -> str:
        started = wr.athena.start_query_execution(
            sql, database="shop", s3_output=account.results, boto3_session=session
        )
        wr.athena.wait_query(str(started), boto3_session=session)
        return str(started)

    yield run


SUBJECTS = {OURS: ours, PYATHENA: pyathena, AWSWRANGLER: awswrangler}
POLLS = {
    OURS: "athena.BatchGetQueryExecution",
    PYATHENA: "athena.GetQueryExecution",
    AWSWRANGLER: "athena.GetQueryExecution",
}


def lengths(count: int, longest: float) -> list[float]:
    """Return lengths of statements in seconds, each longer than the one before by the same factor."""
    factor = (longest / _SHORTEST) ** (1 / (count - 1))
    return [_SHORTEST * factor**n for n in range(count)]


def measure(scale: str) -> list[Record]:
    """Return a record of statements alone, and one of statements at once."""
    longest = LONGEST.get(scale, max(LONGEST.values()))
    alone, at_once = lengths(_ALONE, longest), lengths(_AT_ONCE, longest)
    with endpoint() as url:
        return [
            _record("alone", scale, {name: _measure(url, name, alone, 1) for name in SUBJECTS}),
            _record(
                "20 at once",
                scale,
                {name: _measure(url, name, at_once, _AT_ONCE) for name in SUBJECTS},
            ),
        ]


def _record(how: str, scale: str, subjects: Record) -> Record:
    return {
        "scenario": NAME,
        "how": how,
        "scale": scale,
        "subjects": subjects,
        **surroundings(),
    }


def _measure(url: str, subject: str, seconds: Sequence[float], threads: int) -> Record:
    if subject != OURS and find_spec(subject) is None:
        return skipped(f"{subject} is not installed")
    account = new_account(url)
    with SUBJECTS[subject](account) as run, ThreadPoolExecutor(threads) as pool:
        run("SELECT 'warm'")
        before = account.ask("counts").get(POLLS[subject], 0)
        began = time.time()
        ends = dict(pool.map(lambda each: _run(account, run, each), seconds))
        took = time.time() - began
    ended = {each["execution_id"]: each["history"][-1][1] for each in account.ask("statements")}
    added = [moment - ended[query_id] for query_id, moment in ends.items()]
    calls = account.ask("counts")[POLLS[subject]] - before
    return {
        "seconds": round(took, 3),
        "bytes_read": 0,
        "statements": len(added),
        "files_opened": 0,
        "added_seconds": round(statistics.median(added), 3),
        "most_added_seconds": round(max(added), 3),
        "polls": calls,
        "polls_per_statement": round(calls / len(added), 1),
        "polls_per_second": round(calls / took, 2),
        "equal": True,
    }


def _run(account: Account, run: Callable[[str], str], seconds: float) -> tuple[str, float]:
    """Run a statement that lasts for seconds; return its id, and when its end was known."""
    text = f"SELECT '{seconds:.4f} s'"
    hold = account.ask("holds", {"stage": "running", "match": text})
    release = threading.Timer(seconds, account.ask, ("release", {"number": hold["number"]}))
    release.start()
    query_id = run(text)
    moment = time.time()
    release.join()
    return query_id, moment


def markdown(records: Sequence[Record]) -> str:
    """Return one row per way to run statements and subject."""
    header = (
        "polling", "subject", "statements", "median added s", "most added s", "polls",
        "polls a statement", "polls a second",
    )  # fmt: skip
    keys = (
        "statements", "added_seconds", "most_added_seconds", "polls", "polls_per_statement",
        "polls_per_second",
    )  # fmt: skip
    rows = [
        (record["how"], name, *(str(subject.get(key, "-")) for key in keys))
        for record in records
        for name, subject in record["subjects"].items()
    ]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
