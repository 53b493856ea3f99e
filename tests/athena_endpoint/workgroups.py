"""Workgroups: where results go, and who may say so."""

from __future__ import annotations

import copy
import threading
import time
from typing import Any

from tests.athena_endpoint.failures import invalid

_ENGINE = {
    "SelectedEngineVersion": "AUTO",
    "EffectiveEngineVersion": "Athena engine version 3",
}
_SMALLEST_CUTOFF = 10_000_000


class WorkGroups:
    """The workgroups of an account; ``primary`` is always there."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        # https://docs.aws.amazon.com/athena/latest/ug/workgroups-settings.html: primary does not enforce.
        self.create("primary", {"EnforceWorkGroupConfiguration": False}, "")

    def create(self, name: str, configuration: dict[str, Any], description: str) -> None:
        """Create a workgroup; like Athena's, it enforces its settings unless told otherwise."""
        with self._lock:
            if name in self._groups:
                raise invalid(f"WorkGroup {name} is already created")
            settings = {
                "EnforceWorkGroupConfiguration": True,
                "PublishCloudWatchMetricsEnabled": True,
                "RequesterPaysEnabled": False,
                "EngineVersion": dict(_ENGINE),
                "ResultConfiguration": {},
                **copy.deepcopy(configuration),
            }
            _check(settings)
            self._groups[name] = {
                "Name": name,
                "State": "ENABLED",
                "Configuration": settings,
                "Description": description,
                "CreationTime": time.time(),
            }

    def get(self, name: str) -> dict[str, Any]:
        """Return a workgroup.

        Raises:
            CallError: If there is none of the name.
        """
        with self._lock:
            if name not in self._groups:
                raise invalid(f"WorkGroup is not found: {name}")
            return copy.deepcopy(self._groups[name])

    def all(self) -> list[dict[str, Any]]:
        """Return every workgroup."""
        with self._lock:
            return copy.deepcopy(list(self._groups.values()))

    def update(
        self, name: str, updates: dict[str, Any], state: str | None, description: str | None
    ) -> None:
        """Change a workgroup."""
        self.get(name)
        with self._lock:
            group = self._groups[name]
            settings = copy.deepcopy(group["Configuration"])
            results = settings["ResultConfiguration"]
            for key, value in (updates.get("ResultConfigurationUpdates") or {}).items():
                if key.startswith("Remove"):
                    if value:
                        results.pop(key.removeprefix("Remove"), None)
                else:
                    results[key] = value
            managed = updates.get("ManagedQueryResultsConfigurationUpdates")
            if managed is not None:
                settings["ManagedQueryResultsConfiguration"] = managed
            for key in (
                "EnforceWorkGroupConfiguration",
                "PublishCloudWatchMetricsEnabled",
                "BytesScannedCutoffPerQuery",
                "RequesterPaysEnabled",
            ):
                if key in updates:
                    settings[key] = updates[key]
            if updates.get("RemoveBytesScannedCutoffPerQuery"):
                settings.pop("BytesScannedCutoffPerQuery", None)
            _check(settings)
            group["Configuration"] = settings
            group["State"] = state or group["State"]
            group["Description"] = description if description is not None else group["Description"]

    def delete(self, name: str) -> None:
        """Delete a workgroup."""
        self.get(name)
        if name == "primary":
            raise invalid("The primary workgroup cannot be deleted")
        with self._lock:
            del self._groups[name]

    def output_location(self, name: str, asked: str | None) -> str | None:
        """Return the folder of a statement's results, None where Athena manages them.

        Raises:
            CallError: If nobody names one, or the workgroup is disabled.
        """
        group = self.get(name)
        if group["State"] != "ENABLED":
            raise invalid(f"WorkGroup {name} is disabled")
        settings = group["Configuration"]
        if is_managed(settings):
            if asked:
                raise invalid(
                    "OutputLocation cannot be specified when managed query results are enabled"
                )
            return None
        own = settings["ResultConfiguration"].get("OutputLocation")
        location = own or asked if settings["EnforceWorkGroupConfiguration"] else asked or own
        if not location:
            raise invalid(
                "No output location provided. An output location is required either through the "
                "Workgroup result configuration setting or as an API input."
            )
        if not location.startswith("s3://"):
            raise invalid(f"outputLocation is not a valid S3 path. Provided: {location}")
        return location if location.endswith("/") else f"{location}/"


def is_managed(settings: dict[str, Any]) -> bool:
    """Return whether Athena keeps the results of a workgroup itself."""
    return bool((settings.get("ManagedQueryResultsConfiguration") or {}).get("Enabled"))


def _check(settings: dict[str, Any]) -> None:
    cutoff = settings.get("BytesScannedCutoffPerQuery")
    if cutoff is not None and cutoff < _SMALLEST_CUTOFF:
        raise invalid(f"BytesScannedCutoffPerQuery must be at least {_SMALLEST_CUTOFF}")
    if is_managed(settings) and settings["ResultConfiguration"].get("OutputLocation"):
        raise invalid("ManagedQueryResults and OutputLocation cannot be configured together")
