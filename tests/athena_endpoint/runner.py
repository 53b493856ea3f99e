"""Runs statements: one thread each, a few at a time, through their states to their end."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from pyiceberg.exceptions import CommitFailedException, ValidationException
from sqlglot import exp

from statsig_staging.errors import StagingError
from tests.athena_endpoint import (
    creation,
    ddl,
    dml,
    hivewrites,
    maintenance,
    queries,
    results,
    shows,
    tables,
)
from tests.athena_endpoint.executions import Outcome, State
from tests.athena_endpoint.failures import (
    CallError,
    StatementCancelledError,
    StatementError,
    ddl_failed,
    failed,
)
from tests.athena_endpoint.holds import Stage
from tests.athena_endpoint.session import Engine, Session
from tests.athena_endpoint.statements import Kind, tree_of

if TYPE_CHECKING:
    from tests.athena_endpoint.accounts import Account
    from tests.athena_endpoint.executions import Execution
    from tests.athena_endpoint.holds import Holds

_LOG = logging.getLogger(__name__)

# Measured: block comments fail these at run time, on everything but Iceberg tables.
_NO_BLOCK_COMMENTS = frozenset({Kind.SHOW_CREATE_TABLE, Kind.DESCRIBE, Kind.MSCK, Kind.ALTER_TABLE})


class Runner:
    """Runs the statements of all accounts.

    Args:
        engine: DuckDB.
        holds: What was asked to happen to statements.
        at_once: Statements that run at the same time; others wait in QUEUED, as on a busy service.
    """

    def __init__(self, engine: Engine, holds: Holds, at_once: int = 8) -> None:
        self._engine = engine
        self._holds = holds
        self._slots = threading.BoundedSemaphore(at_once)

    def start(self, account: Account, execution: Execution) -> None:
        """Run a statement in a thread of its own."""
        thread = threading.Thread(
            target=self._run,
            args=(account, execution),
            name=f"statement-{execution.id}",
            daemon=True,
        )
        thread.start()

    def stop(self, execution: Execution) -> None:
        """Ask for the end of a statement."""
        execution.stop()
        self._holds.wake()

    def _run(self, account: Account, execution: Execution) -> None:
        try:
            execution.stopped.wait(account.settings.queued_seconds)
            self._pass(account, execution, Stage.QUEUED)
            with self._slots:
                self._run_now(account, execution)
            self._end(account, execution)
        except StatementCancelledError as error:
            execution.reason = error.reason
            execution.move(State.CANCELLED)
        except StatementError as error:
            _fail(execution, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the statement has to end
            _LOG.exception("statement %s", execution.id)
            _fail(execution, failed("GENERIC_INTERNAL_ERROR", f"{type(error).__name__}: {error}"))

    def _run_now(self, account: Account, execution: Execution) -> None:
        execution.check()
        execution.move(State.RUNNING)
        began = time.monotonic()
        self._pass(account, execution, Stage.RUNNING)
        execution.outcome = self._execute(account, execution)
        left = account.settings.running_seconds - (time.monotonic() - began)
        if left > 0:
            execution.stopped.wait(left)

    def _end(self, account: Account, execution: Execution) -> None:
        self._pass(account, execution, Stage.END)
        if not execution.effects:
            execution.check()
        execution.move(State.SUCCEEDED)

    def _pass(self, account: Account, execution: Execution, stage: Stage) -> None:
        """Let a statement pass a stage; a hold gives its slot to others while it waits."""
        sql, stopped = execution.request.sql, execution.stopped.is_set
        running = stage in {Stage.RUNNING, Stage.COMMIT}
        if running:
            self._slots.release()
        try:
            self._holds.pass_(account.id, execution.id, sql, stage, stopped)
        finally:
            if running:
                self._slots.acquire()
        if stage is not Stage.END:
            execution.check()
        ending = self._holds.ending(account.id, sql, stage)
        if ending is None:
            return
        if ending.requeue:
            # The API's documentation: a transient error sends a statement from RUNNING back to QUEUED.
            execution.move(State.QUEUED)
            execution.stopped.wait(0.05)
            execution.move(State.RUNNING)
            return
        raise ending.error()

    def _execute(self, account: Account, execution: Execution) -> Outcome:
        session = Session(
            self._engine, account, execution, lambda: self._pass(account, execution, Stage.COMMIT)
        )
        try:
            return execute(session)
        except (CommitFailedException, ValidationException) as error:
            raise failed(
                "ICEBERG_COMMIT_ERROR", f"Failed to commit Iceberg update to table: {error}"
            ) from error
        except CallError as error:
            raise failed("SYNTAX_ERROR", error.message) from error
        except StagingError as error:
            raise failed("NOT_SUPPORTED", str(error)) from error
        finally:
            session.close()


def _fail(execution: Execution, error: StatementError) -> None:
    execution.error = error.error
    execution.reason = error.error.message
    execution.move(State.FAILED)


def execute(session: Session) -> Outcome:
    """Run a statement to its effect and its result."""
    request = session.execution.request
    sql, kind = request.statement.sql, request.statement.kind
    if kind.hive:
        return _hive(session, sql, kind)
    _check_catalog(session)
    match kind:
        case Kind.SELECT:
            query = queries.query_of(session, tree_of(sql), request.database)
            return results.of_rows(session, queries.run(session, query))
        case Kind.UNLOAD:
            written = hivewrites.unload(session, sql, request.database)
            return results.of_files(session, [uri for uri, _ in written.files])
        case Kind.EXPLAIN:
            return results.of_lines(
                session, shows.Lines(["Query Plan"], ["Query Plan", "Fragment 0 [SINGLE]"])
            )
        case Kind.OPTIMIZE:
            maintenance.optimize(session, ddl.without_comments(sql), request.database)
            return results.of_lines(session, None)
        case Kind.VACUUM:
            maintenance.vacuum(session, ddl.without_comments(sql), request.database)
            return results.of_lines(session, None)
        case Kind.SHOW_CREATE_VIEW:
            lines = shows.show(session.account, kind, ddl.without_comments(sql), request.database)
            return results.of_lines(session, lines)
        case Kind.DROP_VIEW:
            text = ddl.without_comments(sql).replace('"', "`")
            found = ddl.matched(r"DROP VIEW( IF EXISTS)? NAME", text)
            if found is None:
                raise failed("SYNTAX_ERROR", "mismatched input 'VIEW'")
            name = ddl.named(found[2], request.database)
            creation.drop_view(session, name, if_exists=bool(found[1]))
            return results.of_lines(session, None)
        case _:
            return _written(session, tree_of(sql))


def _check_catalog(session: Session) -> None:
    """Refuse a catalog that does not exist; measured: statements of the Hive path do not notice it."""
    catalog = session.execution.request.catalog
    if catalog is not None and catalog.lower() != "awsdatacatalog":
        raise failed("CATALOG_NOT_FOUND", f"line 1:1: Catalog '{catalog}' not found")


def _written(session: Session, tree: exp.Expr) -> Outcome:
    request = session.execution.request
    database = request.database
    match tree:
        case exp.Insert():
            return results.of_count(session, dml.insert(session, tree, database))
        case exp.Update():
            return results.of_count(session, dml.update(session, tree, database))
        case exp.Delete():
            return results.of_count(session, dml.delete(session, tree, database))
        case exp.Merge():
            return results.of_count(session, dml.merge(session, tree, database))
        case exp.Create() if tree.kind == "VIEW":
            creation.create_view(session, tree, database)
            return results.of_lines(session, None)
        case exp.Create():
            group = session.account.workgroups.get(request.workgroup)["Configuration"]
            location = request.location or group["ResultConfiguration"].get("OutputLocation") or ""
            rows = creation.create_table_as(
                session,
                tree,
                database,
                enforced=bool(group["EnforceWorkGroupConfiguration"])
                and bool(group["ResultConfiguration"].get("OutputLocation")),
                default_location=f"{location}tables/{session.execution.id}/",
            )
            return results.of_count(session, rows)
        case _:
            pass
    raise failed("NOT_SUPPORTED", f"this endpoint runs no {type(tree).__name__}")


def _hive(session: Session, sql: str, kind: Kind) -> Outcome:
    database = session.execution.request.database
    text = ddl.without_comments(sql)
    if session.execution.request.statement.block_comment and kind in _NO_BLOCK_COMMENTS:
        _refuse_comment(session, text, database)
    match kind:
        case Kind.CREATE_DATABASE:
            ddl.create_database(session, text)
        case Kind.DROP_DATABASE:
            ddl.drop_database(session, text)
        case Kind.CREATE_TABLE:
            ddl.create_table(session, sql, database)
        case Kind.DROP_TABLE:
            ddl.drop_table(session, text, database)
        case Kind.ALTER_TABLE:
            ddl.alter_table(session, text, database)
        case Kind.MSCK:
            return results.of_lines(
                session, shows.Lines(["result"], ddl.repair(session, text, database))
            )
        case _:
            return results.of_lines(session, shows.show(session.account, kind, text, database))
    return results.of_lines(session, None)


def _refuse_comment(session: Session, text: str, database: str) -> None:
    found = ddl.matched(
        r"(?:SHOW CREATE TABLE|DESCRIBE|DESC|MSCK REPAIR TABLE|ALTER TABLE)(?: (?:EXTENDED|FORMATTED))? NAME(?: .*)?",
        text,
    )
    entry = tables.glue_table(session.account, ddl.named(found[1], database)) if found else None
    if entry is None or not tables.is_iceberg(entry):
        raise ddl_failed("cannot recognize input near '/' '*'", parse=True)
