"""Who acts: the credentials, the role, and whether its external id is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging.access.identities import ROLE_SESSION
from statsig_staging.doctor.checks import NothingToCheckError, NotRightError
from statsig_staging.warehouses.athena.failures import Kind

if TYPE_CHECKING:
    from statsig_staging.doctor.patient import Patient


def probe_credentials(patient: Patient) -> str:
    """Return whose the credentials are."""
    return patient.call(
        "asking AWS who this is", lambda: patient.own.sts.get_caller_identity()["Arn"]
    )


def probe_role(patient: Patient) -> str:
    """Return the session of the role."""
    if patient.connection.role_arn is None:
        raise NothingToCheckError("no connection.role_arn: the engine acts as these credentials")
    return patient.call(
        "asking AWS who the role is", lambda: patient.clients.sts.get_caller_identity()["Arn"]
    )


def probe_external_id(patient: Patient) -> str:
    """Return that the role refuses whoever does not say the external id; its credentials are not used."""
    role = patient.connection.role_arn
    if role is None or patient.connection.external_id is None:
        raise NothingToCheckError("no connection.external_id")
    refused = patient.refusal(
        "assuming the role without its external id",
        lambda: patient.own.sts.assume_role(RoleArn=role, RoleSessionName=ROLE_SESSION),
    )
    if refused is None:
        raise NotRightError(f"{role} was assumed without any external id")
    if refused.kind is not Kind.PERMISSION:
        raise refused
    return "refused, as it should be"
