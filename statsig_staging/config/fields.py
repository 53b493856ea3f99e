"""Values in a declaration: names, days, sizes, places and SQL, each checked when it is read."""

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from statsig_staging import expressions

_CATALOG_NAME = r"^[a-z0-9_]{1,128}$"
_S3_LOCATION = r"^s3://[a-z0-9][a-z0-9.-]+(/.*)?$"
_ARN = r"^arn:[\w-]+:[\w-]+:\S*:\S*$"
_REGION = r"^[a-z]+(-[a-z]+)+-\d+$"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
_WORKGROUP = r"^[A-Za-z0-9._-]{1,128}$"
_URL = r"^https?://\S+$"

EXAMPLES = {
    _CATALOG_NAME: "statsig_staging",
    _S3_LOCATION: "s3://bucket/prefix/",
    _ARN: "arn:aws:iam::123456789012:role/name",
    _REGION: "us-east-1",
    _BUCKET: "my-bucket",
    _WORKGROUP: "primary",
    _URL: "https://host:port",
}
"""What a pattern asks for, by example."""

_NAME_LENGTH = 1_000
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})
_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("KMGTP", start=1)
    for suffix, base in (("B", 1000), ("IB", 1024))
}


class Model(BaseModel):
    """A declaration: it does not change, and has no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _number_as_text(value: object) -> object:
    if isinstance(value, bool | float | date):
        raise ValueError("should be text; put it in quotes")  # noqa: TRY004
    return str(value) if isinstance(value, int) else value


def no_bool(value: object) -> object:
    """Return ``value`` unless it is true or false, which Python takes for a number."""
    if isinstance(value, bool):
        raise ValueError("should be a number")  # noqa: TRY004
    return value


def _one_as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _checked_name(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    if len(text) > _NAME_LENGTH:
        raise ValueError(f"is longer than {_NAME_LENGTH:,} characters")
    if any(unicodedata.category(character) in _CONTROL for character in text):
        raise ValueError("holds a control character")
    return text


def _checked_day(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("should be a date like 2026-01-31")


def _checked_by(check: Callable[[str], object]) -> AfterValidator:
    def checked(text: str) -> str:
        check(text)
        return text

    return AfterValidator(checked)


def _size(value: object) -> object:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip(), re.ASCII)
    unit = match[2].upper() if match else ""
    if not match or unit not in _UNITS:
        raise ValueError("should be a size like 10 GB")
    return (
        round(float(match[1]) * _UNITS[unit]) if "." in match[1] else int(match[1]) * _UNITS[unit]
    )


def _checked_memory(text: str) -> str:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text, re.ASCII)
    if not match or match[2].upper() not in _UNITS or float(match[1]) == 0:
        raise ValueError("should be a number and a unit, like 4GB")
    return text


def _checked_local_path(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character; no path has one")
    return text


def _checked_path(text: str) -> str:
    if any(part in {"", ".", ".."} for part in text.split("/")):
        raise ValueError("should be a folder name like statsig, without '.', '..' or empty parts")
    return text


Name = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(_checked_name),
    WithJsonSchema({"type": ["string", "integer"], "minLength": 1, "maxLength": _NAME_LENGTH}),
]
"""A name of the user's own; a number counts as its digits."""

Column = Annotated[str, AfterValidator(_checked_name)]
"""The name of a column."""

Text = Annotated[str, AfterValidator(_checked_name)]
"""Text that is not empty and stays on one line."""

Scalar = Annotated[str, _checked_by(expressions.parse_scalar)]
"""A scalar expression in Athena's SQL."""

SourceTable = Annotated[str, _checked_by(expressions.parse_table)]
"""``database.table``, each part plain or in double quotes."""

Query = Annotated[str, _checked_by(expressions.parse_query)]
"""One SELECT in Athena's SQL."""

Day = Annotated[date, BeforeValidator(_checked_day)]
"""A UTC date."""

Days = Annotated[int, BeforeValidator(no_bool), Field(ge=0)]
"""A number of days."""

Count = Annotated[int, BeforeValidator(no_bool), Field(ge=1)]
"""How many; at least one."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    Field(ge=1),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["10 GB", "1 TB"]}),
]
"""Bytes; text has a unit: 1 TB is 10^12 bytes, 1 TiB is 2^40."""

Globs = Annotated[
    tuple[Annotated[str, Field(min_length=1), AfterValidator(_checked_local_path)], ...],
    BeforeValidator(_one_as_tuple),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""File patterns, relative to the project or absolute."""

CatalogName = Annotated[str, Field(pattern=_CATALOG_NAME)]
"""A name that the Glue catalog takes as it is."""

FolderName = Annotated[str, AfterValidator(_checked_name), AfterValidator(_checked_path)]
"""A folder below another one."""

LocalPath = Annotated[str, Field(min_length=1), AfterValidator(_checked_local_path)]
"""A path on this machine."""

Memory = Annotated[str, AfterValidator(_checked_memory)]
"""How much memory, like ``4GB``."""

S3Location = Annotated[str, Field(pattern=_S3_LOCATION), AfterValidator(_checked_name)]
"""``s3://bucket/prefix``."""

S3Locations = Annotated[tuple[S3Location, ...], BeforeValidator(_one_as_tuple)]
"""One or more of them."""

Arn = Annotated[str, Field(pattern=_ARN), AfterValidator(_checked_name)]
"""An AWS resource name."""

Region = Annotated[str, Field(pattern=_REGION)]
"""An AWS region."""

Bucket = Annotated[str, Field(pattern=_BUCKET)]
"""The name of an S3 bucket."""

Workgroup = Annotated[str, Field(pattern=_WORKGROUP)]
"""The name of an Athena workgroup."""

Url = Annotated[str, Field(pattern=_URL)]
"""``http://`` or ``https://``."""

Price = Annotated[float, BeforeValidator(no_bool), Field(ge=0, allow_inf_nan=False)]
"""US dollars."""
