"""Secrets that hold others: settings and JSON are masked by their parts, and names stay names."""

import json
import sys
from collections.abc import Callable
from itertools import count, takewhile
from types import FrameType
from typing import Any

import pytest
import yaml
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from ml_experiment_runner.project.secrets import Secrets, mask, mask_within, register, registry
from ml_experiment_runner.record.journal import Journal, read_events
from ml_experiment_runner.record.recorder import Recorder

TEXT = st.text(
    st.one_of(
        st.sampled_from(list("{}[],:;=\"'\\ #&%$!-.\n")),
        st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")),
    ),
    max_size=12,
)
SECRET = st.one_of(
    st.tuples(TEXT, TEXT).map(lambda parts: f"{parts[0]}Zq7{parts[1]}".strip()),
    st.sampled_from(["tiger-paws", "Xy9!abc", "hunter", "Ab3,xK9:pQ7{z"]),
).filter(lambda text: len(text) >= 4)
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # a pattern takes long to compile
NAMES = st.sampled_from(["password", "dbPassword", "api_key", "client_secret", "PWD", "token"])
BESIDE = {
    "username": "app",
    "host": "db.example.com",
    "port": 5432,
    "rows": 12345,
    "ssl": True,
    "engine": "postgres",
    "region": "eu-central-1",
    "url": "https://example.com/v1/login",
}
WITHIN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "mapping": lambda each: each,
    "list": lambda each: [each, 7],
    "nested": lambda each: {"database": {"prod": [each]}},
    "JSON in JSON": lambda each: {"inner": json.dumps(each)},
}
WRITTEN: dict[str, Callable[[Any], str]] = {
    "json": json.dumps,
    "json as it is": lambda node: json.dumps(node, ensure_ascii=False, indent=2),
    "repr": repr,
    "yaml": lambda node: yaml.safe_dump(node, allow_unicode=True),
}


@settings(max_examples=60, phases=NO_SHRINKING)
@given(SECRET, NAMES, st.sampled_from(sorted(WITHIN)), st.sampled_from(sorted(WRITTEN)))
def test_secret_within_settings_is_masked_and_no_more(
    secret: str, name: str, within: str, written: str
) -> None:
    registry.clear()
    value = WRITTEN[written](WITHIN[within]({**BESIDE, name: secret}))
    try:  # what code would read, or there is nothing to lose
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        assume(written == "json")
        read = json.loads(value)
    assume(read == WITHIN[within]({**BESIDE, name: secret}))
    register(value, "DB_SECRET")
    assert mask(f"login failed for {secret} as app") == "login failed for *** as app"
    shown = {each: said for each, said in BESIDE.items() if str(said) not in secret}
    text = " ".join(map(str, shown.values()))
    assert mask(f"to {text} and on") == f"to {text} and on"
    names = dict.fromkeys([*BESIDE, name], 1)
    assert mask_within(names) == names


SETTINGS: dict[str, Callable[[str, str], str]] = {
    "semicolons": lambda name, secret: f"Server=db,1433;Uid=app;{name}={secret};Encrypt=yes",
    "semicolon at the end": lambda name, secret: f"Server=db;{name}={secret};",
    "first": lambda name, secret: f"{name}={secret};Server=db",
    "lines": lambda name, secret: f"[db]\nuser = app\n{name} = {secret}\nhost = db",
    "white space": lambda name, secret: f"host=db user=app {name}={secret} dbname=x",
    "commas": lambda name, secret: f"db.example.com:6380,{name}={secret},ssl=True",
    "parameters": lambda name, secret: f"user=app&{name}={secret}&ssl=true",
    "in quotes": lambda name, secret: 'Server=db;{}="{}";Uid=app'.format(
        name, secret.replace('"', '""')
    ),
    "as of libpq": lambda name, secret: "host=db {} = '{}' dbname=x".format(
        name, secret.replace("\\", "\\\\").replace("'", "\\'")
    ),
    "in braces": lambda name, secret: f"Driver={{A B}};{name}={{{secret}}};Uid=app",
}
BARE = {
    "semicolons": ";",
    "semicolon at the end": ";",
    "first": ";",
    "lines": "\n",
    "white space": " \n\r",
    "commas": ",",
    "parameters": "&",
    "in braces": "{}",
}
"""What a value cannot hold unless it is in quotes."""


@settings(max_examples=80, phases=NO_SHRINKING)
@given(
    SECRET,
    st.sampled_from(["password", "Pwd", "AccountKey", "sasl.password", "aws_secret_access_key"]),
    st.sampled_from(sorted(SETTINGS)),
)
def test_secret_of_a_connection_is_masked(secret: str, name: str, written: str) -> None:
    bare = BARE.get(written, "")
    assume(not set(secret) & set(bare))
    assume("\n" not in secret or written not in ("semicolons", "commas", "parameters"))
    assume(written in ("in quotes", "as of libpq") or secret[0] not in "\"'{")
    assume(secret[-1] not in ";,")
    registry.clear()
    register(SETTINGS[written](name, secret), "DB_CONNECTION_STRING")
    assert mask(f"login failed for {secret} as app") == "login failed for *** as app"
    assert mask("to db as app on db.example.com, yes") == "to db as app on db.example.com, yes"


@pytest.mark.parametrize(
    ("name", "value", "text", "shown"),
    [
        ("DB_SECRET", '{"password": 87654321, "port": 543210}', "87654321 543210", "*** 543210"),
        ("API_KEYS", '["tiger-paws"]', "a tiger-paws b", "a *** b"),
        ("PASSWORDS", '{"reader": "tiger-paws", "user": "me-2"}', "tiger-paws me-2", "*** me-2"),
        ("SHOP", "{user: app, password: tiger-paws}", "tiger-paws app", "*** app"),
        ("SHOP", "{user:app,password:tiger-paws}", "tiger-paws app", "*** app"),
        ("SHOP", '{"url": "postgres:\\/\\/me:p\\u0077-99@host"}', "by pw-99!", "by ***!"),
        ("SHOP", '{"url": "pg://me:pw-99@host/db"}', "pg://host/db pw-99", "pg://host/db ***"),
        ("SHOP", "Authorization=Bearer tiger-paws,a=b", "Bearer tiger-paws", "***"),
        ("SHOP", "Authorization=Bearer tiger-paws,a=b", "Bearer of tiger-paws", "Bearer of ***"),
        ("AUTHORIZATION", "Bearer tiger-paws", "by tiger-paws", "by ***"),
        ("JAAS", 'a.B required username="app" password="tiger-paws";', "by tiger-paws", "by ***"),
        ("OPTIONS", "-Xmx1g -Da.keyStorePassword=tiger-paws --b=c", "by tiger-paws", "by ***"),
        ("OPTIONS", "--a=b --token=tiger-paws", "by tiger-paws", "by ***"),
        ("SHOP", "{a: &a {password: tiger-paws}, b: [*a]}", "a tiger-paws", "a ***"),
    ],
)  # fmt: skip
def test_value_within_settings_is_masked(name: str, value: str, text: str, shown: str) -> None:
    register(value, name)
    assert mask(text) == shown


def test_key_of_a_service_account_is_masked_with_its_lines() -> None:
    lines = ("MIIEvQIBADANBgkqhki", "G9w0BAQEFAASCBKcwgg")
    key = "\n".join(("-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", ""))
    account = {
        "type": "service_account",
        "project_id": "my-project-123",
        "private_key": key,
        "client_email": "me@my-project-123.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    register(json.dumps(account, indent=2), "GOOGLE_CREDENTIALS")
    assert mask(f"it is {key.strip()}!") == "it is ***!"
    assert mask("it is G9w0BAQEFAASCBKcwgg!") == "it is ***!"
    others = json.dumps({**account, "private_key": ""}, indent=2)
    assert mask(others) == others


@pytest.mark.parametrize(
    "part", ["[", '{"a":', '"', "';", ";a={", ';a="', "a b ", "a=", ": ", "\n", "&a [*a"]
)
def test_long_value_is_taken_apart_to_its_end(part: str) -> None:
    value = f"Zq7W{part * 3000}kX9vJ2"
    for each in (value, part * 3000, f"[{value}]", f"{{{value}}}"):
        Secrets().add(each)


@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from(["***", "*** (2)", "a ***", "rows", "fraud"]),
            st.text("abc ", max_size=4),
            st.sampled_from(["Zq7W-one", "kX9v-two", "a Zq7W-one", "a kX9v-two", "Zq7W%2Done"]),
            st.integers(0, 3),
            st.none(),
        ),
        st.integers(),
        max_size=8,
    )
)
def test_masked_keys_keep_every_entry(node: dict[Any, int]) -> None:
    registry.clear()
    for value in ("Zq7W-one", "kX9v-two"):
        register(value)
    register("fraud", "TEAM")
    masked = mask_within({"outer": [node]})["outer"][0]
    assert list(masked.values()) == list(node.values())
    assert mask(json.dumps(masked)) == json.dumps(masked)
    for key, shown in zip(node, masked, strict=True):
        assert shown == key if mask_within([f"<{key}>"]) == [f"<{key}>"] else "***" in shown


def test_record_keeps_all_params_and_its_own_keys(tmp_path: Any) -> None:
    register("Zq7W-one")
    register("kX9v-two")
    register("values", "DB_PASSWORD")
    journal = Journal(tmp_path / "journal.jsonl")
    Recorder(tmp_path, journal).log_params({"of Zq7W-one": 1, "of kX9v-two": 2})
    journal.close()
    [event] = read_events(tmp_path / "journal.jsonl")[0]
    assert event["values"] == {"of ***": "1", "of *** (2)": "2"}


def added_meanwhile(step: int) -> bool:
    """Adds a value as another thread may, before a line of what masks; False if there is none."""
    known = Secrets()
    known.add("Zq7W-first")
    left = step

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != registry.__file__:
            return None
        left -= 1
        if left == -1:
            known.add("kX9v-second")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        known.mask("a text")
    finally:
        sys.settrace(before)
    if left < 0:
        assert known.mask("by kX9v-second and Zq7W-first") == "by *** and ***", step
    return left < 0


def test_value_that_another_thread_adds_meanwhile_is_masked() -> None:
    steps = list(takewhile(added_meanwhile, count()))
    assert len(steps) > 5
