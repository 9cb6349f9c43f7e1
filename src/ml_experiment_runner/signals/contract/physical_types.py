"""The logical type of a field of which a contract only says how its source stores it."""

import re

_NAMES = {
    "integer": "tinyint smallint mediumint int integer bigint hugeint byteint long short byte "
    "serial smallserial bigserial int2 int4 int8 int16 int32 int64 int128 int256 uint uint8 uint16 "
    "uint32 uint64 uint128 ubigint usmallint uinteger utinyint i8 i16 i32 i64 u8 u16 u32 u64 year",
    "number": "decimal numeric number dec fixed float double real float4 float8 float16 float32 "
    "float64 f32 f64 bignumeric bigdecimal money smallmoney half binary_float binary_double "
    "decfloat double_precision",
    "string": "string str varchar varchar2 nvarchar nvarchar2 char nchar character bpchar "
    "character_varying text tinytext mediumtext longtext ntext citext clob nclob uuid "
    "uniqueidentifier guid enum set keyword xml inet cidr macaddr interval utf8 fixedstring name "
    "sysname",
    "boolean": "boolean bool bit logical",
    "date": "date date32 date64",
    "timestamp": "timestamp timestamptz timestamp_tz timestamp_ltz timestamp_ntz timestampntz "
    "timestampltz timestamp_with_time_zone timestamp_without_time_zone "
    "timestamp_with_local_time_zone timestamp_millis timestamp_micros timestamp_s timestamp_ms "
    "timestamp_ns datetime datetime2 datetime64 smalldatetime datetimeoffset",
    "time": "time timetz time_with_time_zone time_without_time_zone time64",
    "object": "json jsonb object struct record row map variant super hstore document",
    "array": "array list repeated",
}
_LOGICAL = {name: logical for logical, names in _NAMES.items() for name in names.split()}


def logical_type(physical: str) -> str | None:
    """The logical type of a physical one, such as `varchar(18)` or `DECIMAL(12,2)`.

    Returns:
        None where the name is not known or its values are no table's, as of `bytea`.
    """
    text = physical.strip().lower()
    if text.endswith("[]") or re.match(r"(array|list)\s*[<(]", text):
        return "array"
    text = re.sub(r"<.*>", "", text)
    arguments = re.search(r"\(([^)]*)\)", text)
    text = re.sub(r"\([^)]*\)", " ", text)
    text = re.sub(r"\b(not null|null|unsigned|signed|zerofill|primary key|unique)\b", " ", text)
    wrapped = re.fullmatch(r"\s*(?:nullable|lowcardinality)\s*", text)
    if wrapped and arguments:
        return logical_type(arguments[1])
    logical = _LOGICAL.get("_".join(text.split()))
    if logical == "number" and arguments and _is_whole(text.strip(), arguments[1]):
        return "integer"
    return logical


def _is_whole(name: str, arguments: str) -> bool:
    """Whether a decimal type has no digits behind the point."""
    if name not in ("decimal", "numeric", "number", "dec", "fixed"):
        return False
    digits, comma, scale = arguments.partition(",")
    return digits.strip().isdigit() and (not comma or scale.strip() == "0")
