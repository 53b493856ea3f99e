"""Statements: the workgroup, where results go, a query, a table, and how many may run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from statsig_staging.doctor.checks import NothingToCheckError, NotRightError
from statsig_staging.doctor.files import located
from statsig_staging.doctor.probing import probe_table
from statsig_staging.warehouses.athena.warehouse import AthenaWarehouse

if TYPE_CHECKING:
    from statsig_staging.doctor.patient import Patient

_ENGINE: Final = "Athena engine version 3"

EVERYWHERE: Final = 20
"""Statements that an account may run at once in every region, unless AWS has lowered it.
https://docs.aws.amazon.com/athena/latest/ug/service-limits.html"""


def probe_workgroup(patient: Patient) -> str:
    """Look at the workgroup, and keep what it says."""
    name = patient.connection.workgroup
    answer = patient.call(
        f"looking at the workgroup {name}",
        lambda: patient.clients.athena.get_work_group(WorkGroup=name),
    )
    patient.group = dict(answer["WorkGroup"])
    if patient.group.get("State") == "DISABLED":
        raise NotRightError(f"{name} is disabled")
    engine = patient.group.get("Configuration", {}).get("EngineVersion", {})
    version = engine.get("EffectiveEngineVersion", _ENGINE)
    if version != _ENGINE:
        raise NotRightError(f"{name} has {version}")
    return name


def probe_results(patient: Patient) -> str:
    """Return where results go."""
    where = patient.results
    if where is None:
        return "Athena keeps them"
    bucket = where.removeprefix("s3://").partition("/")[0]
    if bucket != patient.connection.bucket:
        located(patient, bucket)
    return where


def probe_queries(patient: Patient) -> str:
    """Run a query that reads no table, and read its answer."""
    rows = patient.services.rows(patient.query("SELECT 1 AS one", "doctor")).to_pylist()
    if rows != [{"one": 1}]:
        raise NotRightError(f"SELECT 1 was answered by {rows}")
    return ""


def probe_tables(patient: Patient) -> str:
    """Have a table for a moment, with everything that loads do to one."""
    warehouse = AthenaWarehouse(patient.services, patient.place)
    with warehouse.scratch() as scratch:
        done = probe_table(scratch)
    patient.queries += [query_id for stats in done for query_id in stats.query_ids]
    patient.tidy()
    return f"{sum(stats.statements for stats in done)} statements"


def probe_quotas(patient: Patient) -> str:
    """Compare how many statements are run at once with what no account has less of."""
    most = patient.connection.max_concurrent_queries
    if most > EVERYWHERE:
        raise NothingToCheckError(
            f"{most} are more than the {EVERYWHERE} of the smallest regions; Service Quotas, Athena, "
            "'Active DML queries' says what this account may run"
        )
    return f"{most} of {EVERYWHERE}"
