"""The four calls of Athena's API that run statements, each made by the one policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging.warehouses.athena.failures import AwsError, Kind
from statsig_staging.warehouses.athena.poller import Execution, execution_of
from statsig_staging.warehouses.athena.requests import Request, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mypy_boto3_athena import AthenaClient

    from statsig_staging.warehouses.athena.retries import Retries


def _go_on() -> None:
    """Let every call be made."""


class Service:
    """Athena's API.

    Args:
        athena: The client.
        retries: The policy.
    """

    def __init__(self, athena: AthenaClient, retries: Retries) -> None:
        self._athena = athena
        self._retries = retries

    def start(
        self,
        request: Request,
        name: str,
        *,
        before: Callable[[], None] = _go_on,
        attempts: int | None = None,
    ) -> str:
        """Return the id of a request's statement, which begins to exist if it does not yet.

        Args:
            request: What is asked; its token makes repeating it safe.
            name: What messages call the statement.
            before: Is called before each call, and may raise.
            attempts: Calls at most.

        Raises:
            AwsError: If the service does not say the id.
        """
        asked = parameters_of(request)

        def call() -> str:
            before()
            return self._athena.start_query_execution(**asked)["QueryExecutionId"]

        return self._retries.call(f"starting {name}", call, attempts=attempts)

    def stop(self, query_id: str, name: str, *, attempts: int | None = None) -> None:
        """Ask for the end of a statement; one that has ended stays as it is.

        Raises:
            AwsError: If the service does not take it.
        """
        self._retries.call(
            f"stopping query {query_id} of {name}",
            lambda: self._athena.stop_query_execution(QueryExecutionId=query_id),
            attempts=attempts,
        )

    def look(self, ids: Sequence[str]) -> Iterable[Execution]:
        """Return what the service says of statements; those that it says nothing of are left out.

        Raises:
            AwsError: If it says nothing at all.
        """
        answer = self._retries.call(
            "asking Athena how statements are",
            lambda: self._athena.batch_get_query_execution(QueryExecutionIds=list(ids)),
        )
        return [execution_of(document) for document in answer.get("QueryExecutions", ())]

    def rows_written(self, execution: Execution, name: str) -> int | None:
        """Return the rows that a statement wrote, which only GetQueryResults says; None where it writes none.

        Raises:
            AwsError: If the service does not say it.
        """
        if execution.type != "DML" and execution.subtype != "CREATE_TABLE_AS_SELECT":
            return None
        answer = self._retries.call(
            f"counting the rows of {name}",
            lambda: self._athena.get_query_results(
                QueryExecutionId=execution.query_id, MaxResults=1
            ),
        )
        return answer.get("UpdateCount")


def never_began(error: AwsError) -> bool:
    """Return whether the service refused a request to start a statement as such, so that none began.

    A mismatch of parameters means that there is a statement of this token.
    """
    refused = error.kind in {Kind.REFUSED, Kind.MISSING}
    return refused and error.code not in {"", "IDEMPOTENT_PARAMETER_MISMATCH"}
