"""Athena's API: the operations, and the documents that they answer."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.athena_endpoint import ddl, shows, statements, tables
from tests.athena_endpoint.executions import Request, State
from tests.athena_endpoint.failures import CallError, invalid, malformed
from tests.athena_endpoint.hive import athena_type
from tests.athena_endpoint.results import Pages
from tests.athena_endpoint.statements import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.athena_endpoint.accounts import Account
    from tests.athena_endpoint.executions import Execution
    from tests.athena_endpoint.runner import Runner

_MOST_IDS = 50
_TOKEN_BYTES = (32, 128)

Document = dict[str, Any]


class Protocol:
    """The operations that this endpoint has; moto answers the others."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._pages = Pages()
        self.operations: Mapping[str, Callable[[Account, Document], Document]] = {
            "StartQueryExecution": self._start,
            "StopQueryExecution": self._stop,
            "GetQueryExecution": self._get,
            "BatchGetQueryExecution": self._batch_get,
            "ListQueryExecutions": self._list,
            "GetQueryResults": self._results,
            "GetQueryRuntimeStatistics": self._runtime,
            "CreateWorkGroup": _create_work_group,
            "GetWorkGroup": _get_work_group,
            "ListWorkGroups": _list_work_groups,
            "UpdateWorkGroup": _update_work_group,
            "DeleteWorkGroup": _delete_work_group,
            "ListDatabases": _list_databases,
            "GetDatabase": _get_database,
            "ListTableMetadata": _list_table_metadata,
            "GetTableMetadata": _get_table_metadata,
            "GetDataCatalog": _get_data_catalog,
            "ListDataCatalogs": _list_data_catalogs,
            "CreatePreparedStatement": _create_prepared,
            "GetPreparedStatement": _get_prepared,
            "UpdatePreparedStatement": _update_prepared,
            "DeletePreparedStatement": _delete_prepared,
            "ListPreparedStatements": _list_prepared,
        }

    def _start(self, account: Account, asked: Document) -> Document:
        """Start a statement, in the order that was measured: token, location, syntax, known token."""
        token = asked.get("ClientRequestToken")
        if token is not None and not _TOKEN_BYTES[0] <= len(token.encode()) <= _TOKEN_BYTES[1]:
            raise invalid(
                "1 validation error detected: Value at 'clientRequestToken' failed to satisfy constraint: "
                "Member must have length greater than or equal to 32"
            )
        group = asked.get("WorkGroup") or "primary"
        results = asked.get("ResultConfiguration") or {}
        location = account.workgroups.output_location(group, results.get("OutputLocation"))
        sql = asked.get("QueryString") or ""
        given = asked.get("ExecutionParameters") or ()
        context = asked.get("QueryExecutionContext") or {}
        database = str(context.get("Database") or "default").strip("`").lower()
        statement = self._read(account, group, sql, given)
        _check_tables(account, statement, database)
        settings = account.settings
        request = Request(
            sql=sql,
            statement=statement,
            database=database,
            asked_database=context.get("Database"),
            catalog=context.get("Catalog"),
            workgroup=group,
            asked_location=results.get("OutputLocation"),
            location=location,
            token=token,
            parameters=tuple(given),
            encryption=results.get("EncryptionConfiguration"),
        )
        limit = settings.dml_limit if statement.kind.counts_as_dml else settings.ddl_limit
        execution, new = account.executions.start(request, limit=limit)
        if new:
            self._runner.start(account, execution)
        return {"QueryExecutionId": execution.id}

    def _read(self, account: Account, group: str, sql: str, given: Any) -> statements.Statement:
        statement = statements.read(sql)
        if statement.kind is Kind.EXECUTE:
            text = _prepared_text(account, group, statement.sql)
            return statements.read(text)
        if given:
            return statements.read(statements.with_parameters(statement.sql, given))
        if any(token.kind == "question" for token in statements.tokens_of(sql)):
            raise malformed(
                "line 1:1: Incorrect number of parameters: expected at least 1 but found 0"
            )
        return statement

    def _stop(self, account: Account, asked: Document) -> Document:
        self._runner.stop(account.executions.get(asked["QueryExecutionId"]))
        return {}

    def _get(self, account: Account, asked: Document) -> Document:
        return {"QueryExecution": _execution(account.executions.get(asked["QueryExecutionId"]))}

    def _batch_get(self, account: Account, asked: Document) -> Document:
        ids = asked.get("QueryExecutionIds") or []
        if not 1 <= len(ids) <= _MOST_IDS:
            raise invalid(
                "1 validation error detected: Value at 'queryExecutionIds' failed to satisfy constraint: "
                f"Member must have length less than or equal to {_MOST_IDS}"
            )
        found, missing = [], []
        for execution_id in ids:
            try:
                found.append(_execution(account.executions.get(execution_id)))
            except CallError as error:
                missing.append(
                    {
                        "QueryExecutionId": execution_id,
                        "ErrorCode": "INVALID_INPUT",
                        "ErrorMessage": error.message,
                    }
                )
        return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing}

    def _list(self, account: Account, asked: Document) -> Document:
        group = asked.get("WorkGroup") or "primary"
        ids = [e.id for e in reversed(account.executions.all()) if e.request.workgroup == group]
        return _page(ids, asked, "QueryExecutionIds", most=_MOST_IDS)

    def _results(self, account: Account, asked: Document) -> Document:
        execution = account.executions.get(asked["QueryExecutionId"])
        token, most = asked.get("NextToken"), asked.get("MaxResults")
        return self._pages.page(account.storage, execution, token, most)

    def _runtime(self, account: Account, asked: Document) -> Document:
        execution = account.executions.get(asked["QueryExecutionId"])
        timeline = _statistics(execution)
        kept = (
            "QueryQueueTimeInMillis",
            "EngineExecutionTimeInMillis",
            "TotalExecutionTimeInMillis",
        )
        return {
            "QueryRuntimeStatistics": {
                "Timeline": {key: timeline[key] for key in kept if key in timeline},
                "Rows": {"InputBytes": execution.scanned},
            }
        }


def _check_tables(account: Account, statement: statements.Statement, database: str) -> None:
    """Refuse what Athena refuses at once: DESCRIBE and SHOW COLUMNS of a table that is missing."""
    if statement.kind in {Kind.DESCRIBE, Kind.SHOW_COLUMNS}:
        shows.show(account, statement.kind, ddl.without_comments(statement.sql), database)


def _execution(execution: Execution) -> Document:
    request, outcome = execution.request, execution.outcome
    status: Document = {"State": execution.state, "SubmissionDateTime": execution.submitted}
    if execution.reason is not None:
        status["StateChangeReason"] = execution.reason
    if execution.completed is not None:
        status["CompletionDateTime"] = execution.completed
    if execution.error is not None and execution.state is State.FAILED:
        status["AthenaError"] = execution.error.document()
    found: Document = {
        "QueryExecutionId": execution.id,
        "Query": request.sql,
        "StatementType": request.statement.kind.type,
        "SubstatementType": request.statement.kind.subtype,
        "QueryExecutionContext": _without_none(
            Database=request.asked_database, Catalog=request.catalog
        ),
        "Status": status,
        "Statistics": _statistics(execution),
        "WorkGroup": request.workgroup,
        "EngineVersion": {
            "SelectedEngineVersion": "AUTO",
            "EffectiveEngineVersion": "Athena engine version 3",
        },
        "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
    }
    if request.location is not None:
        found["ResultConfiguration"] = _without_none(
            OutputLocation=outcome.location or _expected(execution),
            EncryptionConfiguration=request.encryption,
        )
    else:
        found["ManagedQueryResultsConfiguration"] = {"Enabled": True}
    if request.parameters:
        found["ExecutionParameters"] = list(request.parameters)
    return found


def _expected(execution: Execution) -> str:
    kind = execution.request.statement.kind
    suffix = ".csv" if kind.type == "DML" else ".txt"
    return f"{execution.request.location}{execution.id}{suffix}"


def _without_none(**values: Any) -> Document:
    return {key: value for key, value in values.items() if value is not None}


def _statistics(execution: Execution) -> Document:
    now = execution.completed or time.time()
    began = execution.began or now
    engine = max(0, round((now - began) * 1000)) if execution.began else 0
    found: Document = {
        "DataScannedInBytes": execution.scanned,
        "EngineExecutionTimeInMillis": engine,
        "QueryQueueTimeInMillis": max(0, round((began - execution.submitted) * 1000)),
        "TotalExecutionTimeInMillis": max(0, round((now - execution.submitted) * 1000)),
        "QueryPlanningTimeInMillis": 0,
        "ServicePreProcessingTimeInMillis": 0,
        "ServiceProcessingTimeInMillis": 0,
        "ResultReuseInformation": {"ReusedPreviousResult": False},
    }
    if execution.outcome.manifest is not None:
        found["DataManifestLocation"] = execution.outcome.manifest
    return found


def _page(items: list[Any], asked: Document, key: str, most: int) -> Document:
    begin = int(asked.get("NextToken") or 0)
    size = min(asked.get("MaxResults") or most, most)
    answer: Document = {key: items[begin : begin + size]}
    if begin + size < len(items):
        answer["NextToken"] = str(begin + size)
    return answer


def _create_work_group(account: Account, asked: Document) -> Document:
    account.workgroups.create(
        asked["Name"], asked.get("Configuration") or {}, asked.get("Description") or ""
    )
    return {}


def _get_work_group(account: Account, asked: Document) -> Document:
    return {"WorkGroup": account.workgroups.get(asked["WorkGroup"])}


def _list_work_groups(account: Account, asked: Document) -> Document:
    groups = [
        {key: group[key] for key in ("Name", "State", "Description", "CreationTime")}
        for group in account.workgroups.all()
    ]
    return _page(groups, asked, "WorkGroups", most=50)


def _update_work_group(account: Account, asked: Document) -> Document:
    account.workgroups.update(
        asked["WorkGroup"],
        asked.get("ConfigurationUpdates") or {},
        asked.get("State"),
        asked.get("Description"),
    )
    return {}


def _delete_work_group(account: Account, asked: Document) -> Document:
    account.workgroups.delete(asked["WorkGroup"])
    return {}


def _check_catalog(asked: Document) -> None:
    name = asked.get("CatalogName") or asked.get("Name") or "AwsDataCatalog"
    if name.lower() != "awsdatacatalog":
        raise invalid(f"DataCatalog {name} was not found")


def _get_data_catalog(_: Account, asked: Document) -> Document:
    _check_catalog(asked)
    return {"DataCatalog": {"Name": "AwsDataCatalog", "Type": "GLUE", "Parameters": {}}}


def _list_data_catalogs(_: Account, __: Document) -> Document:
    return {"DataCatalogsSummary": [{"CatalogName": "AwsDataCatalog", "Type": "GLUE"}]}


def _metadata_error(message: str) -> CallError:
    return CallError("MetadataException", message)


def _list_databases(account: Account, asked: Document) -> Document:
    _check_catalog(asked)
    found = [{"Name": name} for name in tables.databases_of(account)]
    return _page(found, asked, "DatabaseList", most=50)


def _get_database(account: Account, asked: Document) -> Document:
    _check_catalog(asked)
    name = asked["DatabaseName"].lower()
    try:
        found = account.glue.get_database(Name=name)["Database"]
    except ClientError as error:
        raise _metadata_error(f"EntityNotFoundException: Database {name} not found.") from error
    return {"Database": _without_none(Name=found["Name"], Description=found.get("Description"))}


def _table_document(entry: Document) -> Document:
    iceberg = tables.is_iceberg(entry)
    keys = [] if iceberg else entry.get("PartitionKeys", [])
    created = entry.get("CreateTime")
    return _without_none(
        Name=entry["Name"],
        CreateTime=created.timestamp() if created else None,
        TableType=entry.get("TableType"),
        Columns=[_column_document(column) for column in tables.columns_of(entry)],
        PartitionKeys=[_column_document(column) for column in keys],
        Parameters={
            **entry.get("Parameters", {}),
            "location": entry.get("StorageDescriptor", {}).get("Location", ""),
        },
    )


def _column_document(column: Mapping[str, str]) -> Document:
    athena_type(column["Type"])
    return _without_none(Name=column["Name"], Type=column["Type"], Comment=column.get("Comment"))


def _list_table_metadata(account: Account, asked: Document) -> Document:
    _check_catalog(asked)
    database = asked["DatabaseName"].lower()
    if not tables.has_database(account, database):
        raise _metadata_error(f"EntityNotFoundException: Database {database} not found.")
    found = [_table_document(entry) for entry in tables.entries_of(account, database)]
    return _page(found, asked, "TableMetadataList", most=50)


def _get_table_metadata(account: Account, asked: Document) -> Document:
    _check_catalog(asked)
    name = tables.Name(asked["DatabaseName"].lower(), asked["TableName"].lower())
    entry = tables.glue_table(account, name)
    if entry is None:
        raise _metadata_error(f"EntityNotFoundException: Entity Not Found: {name}")
    return {"TableMetadata": _table_document(entry)}


def _prepared_key(asked: Document) -> tuple[str, str]:
    return (asked["WorkGroup"], asked["StatementName"])


def _create_prepared(account: Account, asked: Document) -> Document:
    if _prepared_key(asked) in account.prepared:
        raise invalid(f"PreparedStatement {asked['StatementName']} already exists")
    return _update(account, asked)


def _update(account: Account, asked: Document) -> Document:
    account.prepared[_prepared_key(asked)] = {
        "StatementName": asked["StatementName"],
        "QueryStatement": asked["QueryStatement"],
        "WorkGroupName": asked["WorkGroup"],
        "Description": asked.get("Description") or "",
        "LastModifiedTime": time.time(),
    }
    return {}


def _update_prepared(account: Account, asked: Document) -> Document:
    _get_prepared(account, asked)
    return _update(account, asked)


def _get_prepared(account: Account, asked: Document) -> Document:
    found = account.prepared.get(_prepared_key(asked))
    if found is None:
        raise CallError(
            "ResourceNotFoundException",
            f"PreparedStatement {asked['StatementName']} was not found in workGroup {asked['WorkGroup']}",
            ResourceName=asked["StatementName"],
        )
    return {"PreparedStatement": found}


def _delete_prepared(account: Account, asked: Document) -> Document:
    _get_prepared(account, asked)
    del account.prepared[_prepared_key(asked)]
    return {}


def _list_prepared(account: Account, asked: Document) -> Document:
    found = [
        {key: statement[key] for key in ("StatementName", "LastModifiedTime")}
        for (group, _), statement in account.prepared.items()
        if group == asked["WorkGroup"]
    ]
    return _page(found, asked, "PreparedStatements", most=50)


def _prepared_text(account: Account, group: str, sql: str) -> str:
    """Return the statement that an EXECUTE means, with its values in place."""
    tokens = statements.tokens_of(sql)
    name = tokens[1].text.strip('"') if len(tokens) > 1 else ""
    found = account.prepared.get((group, name))
    if found is None:
        raise malformed(f"line 1:1: Prepared statement not found: {name}")
    values: list[str] = []
    if len(tokens) > 2:
        if tokens[2].text.upper() != "USING":
            raise malformed(f"line 1:1: mismatched input '{tokens[2].text}'")
        begin = tokens[2].start + len("USING")
        values = _at_commas(sql[begin:])
    return statements.with_parameters(found["QueryStatement"], values)


def _at_commas(text: str) -> list[str]:
    tokens = statements.tokens_of(text)
    depth, cuts = 0, [-1]
    for token in tokens:
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(token.text, 0)
        if token.text == "," and not depth:
            cuts.append(token.start)
    cuts.append(len(text))
    return [text[a + 1 : b].strip() for a, b in itertools.pairwise(cuts)]
