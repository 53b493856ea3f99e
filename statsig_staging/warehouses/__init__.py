"""Where statements run: one adapter per warehouse, each imported only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from statsig_staging.config import AthenaConnection, LocalConnection

if TYPE_CHECKING:
    from statsig_staging.config import Project
    from statsig_staging.warehouses.base import Warehouse


def open_warehouse(project: Project) -> Warehouse:
    """Return the warehouse that a project's ``connection`` names.

    Raises:
        WarehouseError: If it cannot be reached or written.
    """
    connection = project.connection
    match connection:
        case LocalConnection():
            from statsig_staging.warehouses.local.warehouse import LocalWarehouse

            return LocalWarehouse(connection, project.root)
        case AthenaConnection():
            from statsig_staging.warehouses.athena.warehouse import open_athena

            return open_athena(connection)
        case _:
            assert_never(connection)
