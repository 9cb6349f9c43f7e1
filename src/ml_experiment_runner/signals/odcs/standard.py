"""What the Open Data Contract Standard (ODCS) v3.0 to v3.2 lets a contract hold.

The tables below say which keys each kind of mapping has and what stands at them, for all versions
together: `text`, `flag`, `number`, `scalar`, `any`, another mapping's name, a list of one of these
as `[…]`, one of two as `… or …`, one of a set of words as `=…`.
"""

import difflib
from collections.abc import Callable, Mapping

from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.odcs.yaml_document import Entry, Mistakes

VERSIONS = ("v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0")
LOGICAL_TYPES = (
    *("string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean"),
    *("map", "vector"),
)


def _texts(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), "text")


_CUSTOM = {"customProperties": "[custom]"}
_DEFINITIONS = {"authoritativeDefinitions": "[definition]"}
_TAGS = {"tags": "[text]"}
_ELEMENT = {
    **_texts("id name physicalType physicalName description businessName"),
    **_CUSTOM, **_DEFINITIONS, **_TAGS,
    "deprecated": "flag", "synonyms": "[synonym]", "quality": "[quality]",
}  # fmt: skip
_ITEM = {
    **_ELEMENT,
    **_texts("classification encryptedName transformLogic transformDescription"),
    **dict.fromkeys(("primaryKey", "required", "unique", "partitioned", "criticalDataElement"),
                    "flag"),
    "logicalType": "=logicalType", "logicalTypeOptions": "options", "semanticType": "=semanticType",
    "primaryKeyPosition": "position", "partitionKeyPosition": "position",
    "transformSourceObjects": "[text]", "examples": "[any]", "enum": "[enumValue]",
    "relationships": "[propertyRelationship]", "items": "item", "properties": "[property]",
    "map": "map",
}  # fmt: skip
SHAPES: dict[str, dict[str, str]] = {
    "contract": {
        **_texts("id name version status domain tenant dataProduct slaDefaultElement"),
        **_texts("contractCreatedTs"),
        **_CUSTOM, **_DEFINITIONS, **_TAGS,
        "apiVersion": "=apiVersion", "kind": "=kind", "description": "description",
        "context": "text or context", "servers": "[server]", "schema": "[table]",
        "support": "[support]", "price": "price", "team": "[member] or team", "roles": "[role]",
        "slaProperties": "[sla]",
    },
    "description": {**_texts("purpose limitations usage"), **_CUSTOM, **_DEFINITIONS},
    "context": {
        "instructions": "text", "verifiedStatements": "[statement]", "constraints": "[constraint]",
    },
    "statement": {**_texts("id question answer"), **_CUSTOM, **_DEFINITIONS, **_TAGS},
    "constraint": {**_texts("id constraint"), **_CUSTOM, **_DEFINITIONS, **_TAGS},
    "server": {**_texts("id server description environment"), **_CUSTOM,
               "type": "=server", "roles": "[role]"},
    "table": {
        **_ELEMENT, "logicalType": "=table", "dataGranularityDescription": "text",
        "properties": "[property]", "relationships": "[tableRelationship]",
        "context": "text or context",
    },
    "property": _ITEM,
    "item": _ITEM,
    "map": {"key": "item", "value": "item"},
    "quality": {
        **_texts("id businessImpact description method name schedule scheduler severity unit"),
        **_texts("rule query engine"),
        **_CUSTOM, **_DEFINITIONS, **_TAGS,
        "dimension": "=dimension", "type": "=quality", "metric": "=metric", "arguments": "any",
        "implementation": "any", "mustBe": "any", "mustNotBe": "any",
        **dict.fromkeys(("mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan",
                         "mustBeLessOrEqualTo"), "number"),
        "mustBeBetween": "[number]", "mustNotBeBetween": "[number]",
    },
    "support": {**_texts("id channel url description tool scope invitationUrl"), **_CUSTOM},
    "price": {**_texts("id priceCurrency priceUnit"), "priceAmount": "number"},
    "team": {**_texts("id name description"), **_CUSTOM, **_DEFINITIONS, **_TAGS,
             "members": "[member]"},
    "member": {
        **_texts("id username name description role dateIn dateOut replacedByUsername"),
        **_CUSTOM, **_DEFINITIONS, **_TAGS, "comment": "any",
    },
    "role": {**_texts("id role description access firstLevelApprovers secondLevelApprovers"),
             **_CUSTOM},
    "sla": {
        **_texts("id property unit element driver description scheduler schedule"),
        **_CUSTOM, **_DEFINITIONS, "value": "scalar", "valueExt": "scalar",
    },
    "custom": {**_texts("id property description vendor"), "value": "any"},
    "definition": _texts("id url type description"),
    "synonym": {**_texts("id synonym description locale source status"), **_CUSTOM},
    "enumValue": {**_texts("id label description"), **_CUSTOM, **_DEFINITIONS, **_TAGS,
                  "value": "scalar"},
    "propertyRelationship": {"id": "text", "type": "=relationship", "to": "any", **_CUSTOM},
    "tableRelationship": {"id": "text", "type": "=relationship", "from": "any", "to": "any",
                          **_CUSTOM},
}  # fmt: skip
REQUIRED = {
    "contract": ("apiVersion", "kind", "id", "version"),
    "statement": ("question",),
    "constraint": ("constraint",),
    "server": ("server", "type"),
    "table": ("name",),
    "property": ("name",),
    "map": ("key", "value"),
    "support": ("channel",),
    "role": ("role",),
    "sla": ("property", "value"),
    "definition": ("url", "type"),
    "synonym": ("synonym",),
    "enumValue": ("value",),
    "propertyRelationship": ("to",),
    "tableRelationship": ("from", "to"),
}
_REQUIRED_SINCE_3_1 = {"member": ("username",), "custom": ("property", "value")}
_OPEN_IN_3_0 = ("server", "quality", "support", "price", "team", "member", "role", "sla", "custom",
                "definition")  # fmt: skip
"""Where the standard's own schema let any other key stand before v3.1."""
WORDS = {
    "apiVersion": VERSIONS,
    "kind": ("DataContract",),
    "logicalType": LOGICAL_TYPES,
    "table": ("object", "blob"),
    "semanticType": ("column", "measure", "dimension"),
    "quality": ("text", "library", "sql", "custom"),
    "metric": ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"),
    "dimension": (
        *("accuracy", "completeness", "conformity", "consistency", "coverage", "timeliness"),
        "uniqueness",
    ),
    "relationship": ("foreignKey",),
}
_NUMBER = "multipleOf minimum maximum exclusiveMinimum exclusiveMaximum format"
_DATE = "format minimum maximum exclusiveMinimum exclusiveMaximum"
OPTIONS = {
    "string": "minLength maxLength pattern format",
    "date": _DATE,
    "timestamp": f"{_DATE} timezone defaultTimezone",
    "time": f"{_DATE} timezone defaultTimezone",
    "integer": _NUMBER,
    "number": _NUMBER,
    "object": "maxProperties minProperties required",
    "array": "maxItems minItems uniqueItems",
    "vector": "dimensions elementType distanceMetric embeddingModel embeddingModelVersion "
    "normalized",
}
_ANY_OPTION = ("boolean", "map")
"""Types of which the standard does not say what options they have."""
_FILES = "location! format encoding delimiter"
_HOST = "host! port! database!"
_ANY_PORT = "host! port database!"
_EMBEDDED = "database! host port"
SERVERS = {
    "api": "location!",
    "athena": "schema! stagingDir catalog regionName workgroup",
    "azure": "location! format! encoding delimiter",
    "bigquery": "project! dataset!",
    "btrieve": _ANY_PORT,
    "clickhouse": _HOST,
    "cloudsql": f"{_HOST} schema!",
    "custom": "account catalog database dataset delimiter endpointUrl format encoding host "
    "location path port project region regionName schema serviceName stagingDir warehouse stream",
    "databricks": "host catalog! schema!",
    "db2": f"{_HOST} schema",
    "denodo": "host! port! database",
    "dremio": "host! port! schema",
    "duckdb": "database! schema",
    "exasol": "host! port schema",
    "fastobjects": _EMBEDDED,
    "glue": "account! database! location format encoding",
    "hana": "host! port database schema",
    "hive": _ANY_PORT,
    "iceberg": "catalog! catalogUrl! namespace warehouse",
    "impala": _ANY_PORT,
    "informix": _ANY_PORT,
    "ingres": _ANY_PORT,
    "kafka": "host! format encoding",
    "kinesis": "region format encoding stream",
    "local": "path! format! encoding",
    "mysql": _HOST,
    "oracle": "host! port! serviceName!",
    "poet": _EMBEDDED,
    "postgres": f"{_HOST} schema!",
    "postgresql": f"{_HOST} schema!",
    "presto": "host! catalog schema",
    "pubsub": "project!",
    "redshift": "host database! schema! region account",
    "s3": f"{_FILES} endpointUrl",
    "sftp": _FILES,
    "snowflake": "host port account! database! schema! warehouse",
    "sqlserver": "host! port database! schema!",
    "synapse": _HOST,
    "teradata": "host! port database",
    "trino": "host! port! catalog! schema!",
    "vectorwise": _EMBEDDED,
    "versant": _EMBEDDED,
    "vertica": f"{_HOST} schema!",
    "zen": _ANY_PORT,
}
"""Keys by the server's type, with `!` where the standard requires one."""
SERVER_KEYS = frozenset(" ".join(SERVERS.values()).replace("!", "").split())
WORDS["server"] = tuple(SERVERS)
_NEEDED_BY_RULE = {"sql": ("query",), "custom": ("engine", "implementation")}


def check(document: Entry, mistakes: Mistakes) -> None:
    """Collects where a document violates the standard."""
    version = document.find("apiVersion")
    text = _text(version)
    _Check(mistakes, text if text in VERSIONS else VERSIONS[-1]).shape(document, "contract")


class _Check:
    """The walk over a document."""

    def __init__(self, mistakes: Mistakes, version: str) -> None:
        self.mistakes = mistakes
        self.is_3_0 = version.startswith("v3.0")
        self.has_no_status = version == "v3.2.0"

    def value(self, entry: Entry, kind: str) -> None:
        """A value where one of this kind belongs."""
        with self.mistakes.collected():
            self._value(entry, kind)

    def _value(self, entry: Entry, kind: str) -> None:
        kind = _alternative(entry, kind)
        if kind.startswith("["):
            for item in entry.items():
                self.value(item, kind[1:-1])
        elif kind == "=apiVersion" and entry.text() not in VERSIONS:  # no version is near another
            raise entry.mistake(
                f"apiVersion must be one of {', '.join(VERSIONS)}, got '{shorten(entry.text())}'"
            )
        elif kind.startswith("="):
            entry.choice(WORDS[kind[1:]])
        elif kind in _PLAIN:
            _PLAIN[kind](entry)
        else:
            self.shape(entry, kind)

    def shape(self, entry: Entry, name: str) -> None:
        """A mapping: its keys, what is missing among them, and their values."""
        entries = entry.entries()
        known, required = self._expected(name, entries)
        if not entry.is_mapping:
            place = entry.name or "the file"
            example = (required or tuple(known))[0]
            raise entry.mistake(f"{place} must hold keys and values, such as `{example}: …`")
        is_open = name == "description" or (self.is_3_0 and name in _OPEN_IN_3_0)
        unknown = self._keys(entry, known, is_open=is_open)
        for key in required:
            with self.mistakes.collected():
                self._check_there(entry, entries, key, unknown)
        for key, value in entries.items():
            if key in known:
                self.value(value, known[key])
        if name in ("property", "item"):
            with self.mistakes.collected():
                self._options(entries)

    def _expected(
        self, name: str, entries: Mapping[str, Entry]
    ) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """The keys that a mapping may have, and those that it must have."""
        known, required = SHAPES[name], REQUIRED.get(name, ())
        if not self.is_3_0:
            required += _REQUIRED_SINCE_3_1.get(name, ())
        if name == "contract" and not self.has_no_status:
            required += ("status",)
        if name == "server":
            form = _text(entries.get("type"))
            keys = SERVERS[form].split() if form in SERVERS else SERVER_KEYS
            known = {**known, **{key.rstrip("!"): "text" for key in keys}}
            required += tuple(key[:-1] for key in keys if key.endswith("!"))
        if name in ("property", "item") and _text(entries.get("logicalType")) == "map":
            required += ("map",)
        if name == "quality":
            required += _NEEDED_BY_RULE.get(_text(entries.get("type")), ())
        return known, required

    @staticmethod
    def _check_there(
        entry: Entry, entries: Mapping[str, Entry], key: str, unknown: list[str]
    ) -> None:
        if key in entries:
            return
        for place, value in entry.pairs():
            if place.raw == key and key != "value":  # a value may be null
                raise value.mistake(f"{value.name} must not be empty")
            if place.raw == key:
                return
        # a misspelled one is told where it stands
        if not difflib.get_close_matches(key, unknown, 1, 0.5):
            where = f" in {entry.name}" if entry.name else ""
            raise entry.mistake(f"'{key}' is missing{where}")

    def _keys(self, entry: Entry, known: Mapping[str, str], *, is_open: bool) -> list[str]:
        """Tells the keys that do not belong here or come twice; returns the unknown."""
        seen: set[str] = set()
        unknown = []
        for place, value in entry.pairs():
            with self.mistakes.collected():
                key = _key(place)
                if key in seen:
                    raise value.mistake(f"duplicate key '{shorten(value.name)}'; remove one")
                seen.add(key)
                if key not in known and not is_open:
                    unknown.append(key)
                    raise place.mistake(f"unknown entry '{shorten(value.name)}'. "
                                        f"{nearest(shorten(key), known)}")  # fmt: skip
        return unknown

    def _options(self, entries: Mapping[str, Entry]) -> None:
        options, kind = entries.get("logicalTypeOptions"), _text(entries.get("logicalType"))
        if options and options.is_mapping:
            keys = OPTIONS.get(kind, " ".join(OPTIONS.values()))
            is_open = kind in _ANY_OPTION
            self._keys(options, dict.fromkeys(keys.split(), "any"), is_open=is_open)
            if kind == "vector" and "dimensions" not in options.entries():
                raise options.mistake(f"'dimensions' is missing in {options.name}")


def _text(entry: Entry | None) -> str:
    return entry.raw if entry and not entry.is_null else ""


def _alternative(entry: Entry, kind: str) -> str:
    """The one of two kinds that a value is nearer to."""
    first, is_choice, second = kind.partition(" or ")
    fits = entry.is_list if first.startswith("[") else entry.is_scalar
    return first if fits or not is_choice else second


def _check_scalar(entry: Entry) -> None:
    if not entry.is_scalar:
        raise entry.mistake(f"{entry.name} must be a text")


def _check_mapping(entry: Entry) -> None:
    if not entry.is_mapping:
        raise entry.mistake(f"{entry.name} must hold keys and values")


_PLAIN: dict[str, Callable[[Entry], object]] = {
    "any": lambda _: None,
    "text": _check_scalar,
    "scalar": _check_scalar,
    "flag": Entry.flag,
    "number": lambda entry: entry.number(signed=True),
    "position": lambda entry: entry.whole(signed=True),
    "options": _check_mapping,
}
"""What is expected of each kind of value that is neither a list nor a mapping of its own."""


def _key(place: Entry) -> str:
    if not place.is_scalar or place.is_null:
        raise place.mistake("a key must be a text")
    return place.text()
