"""Where staging tables lie: which names they have in Glue, and which locations in S3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Callable

    from statsig_staging.plan import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the tables of one warehouse lie.

    Attributes:
        bucket: The bucket.
        folder: The staging folder inside it.
        database: The staging database.
        prefix: What the names of tables begin with; empty but for scratch tables.
    """

    bucket: str
    folder: str
    database: str
    prefix: str = ""

    @property
    def root(self) -> str:
        """The staging folder as a location."""
        return f"s3://{self.bucket}/{self.folder}/"

    def name(self, table: Table) -> str:
        """Return the name of a table in Glue."""
        return f"{self.prefix}{table.name.catalog}"

    def location(self, table: Table) -> str:
        """Return where a table lies, without a slash at its end."""
        return f"{self.root}{table.folder}"

    def key(self, location: str) -> str:
        """Return the key below the staging folder of a location inside of it."""
        return location.removeprefix(self.root)

    def node(self, table: Table) -> exp.Table:
        """Return a table as a statement names it."""
        return exp.table_(self.name(table), db=self.database, quoted=True)

    def bound(
        self,
        query: exp.Query,
        others: dict[str, Place],
        is_source: Callable[[str], bool] = lambda _: False,
    ) -> exp.Query:
        """Return a query over staging tables with the names that they have here.

        Args:
            query: The query.
            others: Database → the place that it stands for.
            is_source: Whether ``database.table`` is no staging table, whatever its database.
        """
        places = {self.database: self, **others}
        if not self.prefix and not others:
            return query
        bound = query.copy()
        for node in bound.find_all(exp.Table):
            place = places.get(node.db)
            if place is not None and not is_source(f"{node.db}.{node.name}"):
                node.set("db", exp.to_identifier(place.database, quoted=True))
                node.set("this", exp.to_identifier(f"{place.prefix}{node.name}", quoted=True))
        return bound
