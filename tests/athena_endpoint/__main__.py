"""``python -m tests.athena_endpoint --port N``: serve until a signal comes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time


def main() -> None:
    """Serve."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(prog="python -m tests.athena_endpoint", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument(
        "--at-once", type=int, default=8, help="statements that run at the same time"
    )
    arguments = parser.parse_args()

    from tests.athena_endpoint.server import Endpoint

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Endpoint(arguments.port, at_once=arguments.at_once) as endpoint:
        took = time.monotonic() - began
        sys.stdout.write(f"listening on {endpoint.url} after {took:.2f} s\n")
        sys.stdout.flush()
        stopped.wait()
    # A statement may still run in DuckDB: Python ends its thread by unwinding it, which C++ takes for a crash.
    os._exit(0)


if __name__ == "__main__":
    main()
