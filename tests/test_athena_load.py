"""The endpoint under load: many statements at once, many in a row, much data, and its start."""

import gc
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.athena_endpoint.fixtures import Aws

pytestmark = pytest.mark.slow

MB = 1024 * 1024


def memory() -> int:
    """Return the resident bytes of this process, which is that of the endpoint too."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096


def sockets() -> int:
    """Return the open files of this process that are sockets."""
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(str(link).startswith("socket:") for link in links)


def settled() -> int:
    """Return the number of threads once the statements' own have ended, without pyiceberg's pool."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not [t for t in threading.enumerate() if t.name.startswith("statement-")]:
            break
        time.sleep(0.05)
    return len([t for t in threading.enumerate() if not t.name.startswith("ThreadPoolExecutor")])


def test_fifty_statements_at_once(aws: Aws) -> None:
    """Fifty statements that are under way together all end well, and leave no thread and no connection."""
    aws.iceberg("t", "SELECT 0 AS a")
    aws.run("SELECT * FROM t")
    before = settled(), sockets()
    hold = aws.endpoint.holds.hold(aws.id, stage="queued", times=50)
    with ThreadPoolExecutor(50) as pool:
        sql = [
            f"INSERT INTO t VALUES ({n})" if n % 5 == 0 else f"SELECT sum(a) + {n} FROM t"
            for n in range(1, 51)
        ]
        ids = list(pool.map(aws.start, sql))
    assert len(aws.endpoint.holds.held(aws.id, hold, statements=50)) == 50
    aws.endpoint.holds.release(aws.id)
    states = {aws.wait(execution_id, 300)["Status"]["State"] for execution_id in ids}
    assert states == {"SUCCEEDED"}
    assert aws.rows("SELECT count(*) FROM t") == [("11",)]
    aws.close()
    time.sleep(0.5)
    # Each connection of a client has a thread of the server; all are closed again.
    assert settled() <= before[0]
    assert sockets() <= before[1]


def test_a_thousand_statements_in_a_row(aws: Aws) -> None:
    """A thousand statements leave threads, connections and memory where they were."""
    aws.iceberg("t", "SELECT 1 AS a")
    for n in range(100):
        aws.run("SELECT * FROM t" if n % 10 else "INSERT INTO t VALUES (1)")
    before = settled(), sockets(), memory()
    for n in range(1000):
        # Appends make metadata grow, in S3 too; statements that only read have nothing to keep.
        aws.run("DELETE FROM t WHERE a = 9" if n % 10 == 0 else f"SELECT count(*) + {n} FROM t")
    after = settled(), sockets(), memory()
    print(f"threads, sockets, bytes: {before} -> {after}")  # noqa: T201
    assert after[0] <= before[0] + 1
    assert after[1] <= before[1] + 2
    # A statement's record, its calls in the journal and its result in moto stay on purpose.
    assert after[2] - before[2] < 1000 * 40 * 1024


def test_ten_million_rows(aws: Aws) -> None:
    """A CTAS of ten million rows runs, is read back, and its memory is given back."""
    before = memory()
    began = time.monotonic()
    select = (
        "SELECT (a.n - 1) * 10000 + b.n AS id, CAST(a.n AS varchar) AS name, b.n % 7 AS day "
        "FROM UNNEST(sequence(1, 1000)) AS a(n) CROSS JOIN UNNEST(sequence(1, 10000)) AS b(n)"
    )
    assert aws.iceberg("big", select, partitioning=["day"]) == 10_000_000
    took = time.monotonic() - began
    found = aws.rows("SELECT count(*), min(id), max(id), count(DISTINCT name) FROM big")
    assert found == [("10000000", "1", "10000000", "1000")]
    assert aws.count("DELETE FROM big WHERE id % 1000 = 0") == 10_000
    limited = {"BytesScannedCutoffPerQuery": 10_000_000}
    aws.client("athena").create_work_group(Name="limited", Configuration=limited)
    status = aws.wait(aws.start("SELECT sum(id) FROM big", WorkGroup="limited"))["Status"]
    assert status["State"] == "CANCELLED"
    assert "Bytes scanned limit" in status["StateChangeReason"]
    ((size,),) = aws.rows('SELECT sum(file_size_in_bytes) FROM "big$files"')
    grown = memory() - before
    print(f"10,000,000 rows in {took:.1f} s, {int(str(size)) // MB} MB, memory +{grown // MB} MB")  # noqa: T201
    assert grown < 1536 * MB


def test_a_start_takes_less_than_two_seconds() -> None:
    """A server listens after less than two seconds of work: of a processor, whatever else the machine does."""
    code = (
        "import time; from tests.athena_endpoint.server import Endpoint; e = Endpoint(); e._thread.start(); "
        "print(time.process_time(), e.url)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, url = found.stdout.split()
    print(f"listening on {url} after {seconds} s of CPU")  # noqa: T201
    assert float(seconds) < 2
