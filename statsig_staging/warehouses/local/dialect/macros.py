"""What a connection runs once: the settings and macros that translated SQL relies on.

A macro asks `typeof` where the schema did not say. DuckDB answers while it binds, and its optimizer then
removes the branches that do not apply, so a guard on a column of another type costs nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS: Mapping[str, str] = {
    # With true, DuckDB 1.5 and 2.0 turn 1e0/0 into NULL or an error; Athena answers Infinity.
    "integer_division": "false",
    "default_null_order": "NULLS_LAST",
}

_NUMBERS = (
    "'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', "
    "'UBIGINT', 'UHUGEINT', 'FLOAT', 'DOUBLE'"
)

MACROS: tuple[str, ...] = (
    # Not among SETTINGS: DuckDB 1.5 knows the setting only after it has connected and loaded icu.
    "SET GLOBAL TimeZone = 'UTC'",
    # The value x, or the error `why` where `ok` is false; null counts as true. An error by CAST, because
    # error() is volatile and DuckDB binds nothing volatile inside TRY.
    "CREATE OR REPLACE MACRO athena_must(x, ok, why) AS "
    "CASE WHEN CASE WHEN NOT (ok) THEN CAST(why AS BOOLEAN) ELSE TRUE END THEN x END",
    # The types that Athena compares with each other without a cast.
    "CREATE OR REPLACE MACRO athena_family(x) AS "
    f"CASE WHEN typeof(x) IN ({_NUMBERS}) OR starts_with(typeof(x), 'DECIMAL') THEN 'number' "
    "WHEN typeof(x) = 'VARCHAR' OR starts_with(typeof(x), 'ENUM') THEN 'varchar' "
    "WHEN typeof(x) = 'DATE' OR starts_with(typeof(x), 'TIMESTAMP') THEN 'date or timestamp' "
    "WHEN typeof(x) = 'BOOLEAN' THEN 'boolean' WHEN typeof(x) = 'INTERVAL' THEN 'interval' "
    "WHEN typeof(x) = 'BLOB' THEN 'varbinary' WHEN typeof(x) = '\"NULL\"' THEN 'null' "
    "WHEN ends_with(typeof(x), ']') THEN 'array' WHEN starts_with(typeof(x), 'MAP') THEN 'map' "
    "ELSE 'other' END",
    # Whether Athena compares x and y, or takes either of them as one result.
    "CREATE OR REPLACE MACRO athena_alike(x, y) AS "
    "athena_must(TRUE, athena_family(x) = athena_family(y) OR athena_family(x) = 'null' "
    "OR athena_family(y) = 'null', 'TYPE_MISMATCH: Athena takes these two types for one only after a CAST')",
    # The bits of a double, the highest byte first.
    "CREATE OR REPLACE MACRO athena_ieee754_64(x) AS CAST(CAST(CAST(x AS DOUBLE) AS BIT) AS BLOB)",
    # False for everything that is not a float; a null stays null.
    "CREATE OR REPLACE MACRO athena_is_nan(x) AS "
    "typeof(x) IN ('FLOAT', 'DOUBLE') AND isnan(TRY_CAST(x AS DOUBLE))",
    # Division where the schema does not tell the types: // is whole for whole numbers and real for doubles, of
    # which it takes no zero. No macro with typed parameters: DuckDB picks one for sum(x) before it has a type.
    "CREATE OR REPLACE MACRO athena_divide(x, y) AS athena_must(x, "
    "typeof(x) IN ('FLOAT', 'DOUBLE') OR typeof(y) IN ('FLOAT', 'DOUBLE') "
    "OR NOT (starts_with(typeof(x), 'DECIMAL') OR starts_with(typeof(y), 'DECIMAL')), "
    "'TYPE_MISMATCH: division of a decimal that is not known to be one; CAST it to DECIMAL(p, s) or DOUBLE') "
    "// athena_must(y, y <> 0, 'DIVISION_BY_ZERO, or Infinity were it known to be a DOUBLE')",
    # Athena 0.0 % 0 is NaN; every other type fails.
    "CREATE OR REPLACE MACRO athena_modulo(x, y) AS "
    "x % athena_must(y, y <> 0 OR typeof(x) IN ('FLOAT', 'DOUBLE') OR typeof(y) IN ('FLOAT', 'DOUBLE'), "
    "'DIVISION_BY_ZERO')",
    # Text that Athena's cast takes; what only some releases of Trino take is an error even for TRY_CAST.
    # The errors hold x: DuckDB computes a constant condition even where the branch is never taken.
    "CREATE OR REPLACE MACRO athena_castable(x, sure, doubtful, strict) AS "
    "CASE WHEN regexp_full_match(x, sure) THEN x WHEN regexp_full_match(x, doubtful) "
    "THEN CAST(CAST('CAST: releases of Trino differ on ' || x AS BOOLEAN) AS VARCHAR) "
    "WHEN strict THEN CAST(CAST('INVALID_CAST_ARGUMENT: ' || x AS BOOLEAN) AS VARCHAR) END",
    # Athena rounds half up to milliseconds; 2000-01-01 keeps the remainder of early dates positive.
    "CREATE OR REPLACE MACRO athena_milliseconds(x) AS "
    "date_trunc('millisecond', CAST(x AS TIMESTAMP) + INTERVAL 500 MICROSECONDS)",
    # Java's Character.isWhitespace, which Trino trims; DuckDB's trim takes the blank only.
    "CREATE OR REPLACE MACRO athena_blanks() AS "
    "chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || ' ' || "
    "chr(5760) || array_to_string(list_transform(list_filter(range(8192, 8203), lambda c: c <> 8199), "
    "lambda c: chr(CAST(c AS INTEGER))), '') || chr(8232) || chr(8233) || chr(8287) || chr(12288)",
    # airlift's SliceUtf8 maps one code point to one, so the sharp s has no upper case.
    "CREATE OR REPLACE MACRO athena_upper(x) AS CASE WHEN contains(x, 'ß') "
    "THEN array_to_string(list_transform(string_split(x, 'ß'), lambda p: upper(p)), 'ß') ELSE upper(x) END",
    # DuckDB 1.5 fails where Athena, DuckDB 2.0 and IEEE 754 have -Infinity or NaN.
    "CREATE OR REPLACE MACRO athena_ln(x) AS CASE WHEN x > 0 THEN ln(x) "
    "WHEN x = 0 THEN CAST('-inf' AS DOUBLE) WHEN x < 0 THEN CAST('nan' AS DOUBLE) END",
    "CREATE OR REPLACE MACRO athena_sqrt(x) AS "
    "CASE WHEN x < 0 THEN CAST('nan' AS DOUBLE) ELSE sqrt(x) END",
    # Trino reads as far as the path goes and answers null for what is no JSON from its first character;
    # it returns a number as it is written, which DuckDB does not keep.
    "CREATE OR REPLACE MACRO athena_json_scalar(x, path, as_number) AS "
    "CASE WHEN json_valid(x) THEN CASE WHEN json_type(x, path) IN ('OBJECT', 'ARRAY') THEN NULL "
    "WHEN json_type(x, path) = 'DOUBLE' AND NOT as_number THEN CAST(CAST("
    "'json_extract_scalar of a fraction as text; CAST it to DOUBLE. It is in ' || x AS BOOLEAN) AS VARCHAR) "
    "ELSE json_extract_string(x, path) END "
    "WHEN regexp_matches(x, '^\\s*[\\[{\"]') "
    "THEN CAST(CAST('json_extract_scalar of what is not JSON: ' || x AS BOOLEAN) AS VARCHAR) END",
)

_FAILED = re.compile(r"Could not convert string '(.*)' to BOOL", re.DOTALL)


def reason(error: str) -> str | None:
    """Return what a guard of translated SQL said in DuckDB's error message, None when none failed."""
    found = _FAILED.search(error)
    return found[1] if found else None
