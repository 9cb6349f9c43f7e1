"""Secrets: which values are masked, in which forms, and that no record holds one."""

import base64
import html
import io
import json
import logging
import os
import pickle
import random
import re
import shlex
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import pytest
import yaml
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ml_experiment_runner.config.typed_secrets import refuse_secrets
from ml_experiment_runner.project import secrets
from ml_experiment_runner.project.errors import RefusedError, UserError
from ml_experiment_runner.project.repository import read_environment
from ml_experiment_runner.project.secrets import mask, register, watch_resolver
from ml_experiment_runner.record.console import Console, Output
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.record.sync.client import SyncClient
from ml_experiment_runner.sweeps import job_process
from ml_experiment_runner.sweeps.job_process import Job

OUTER: dict[str, Callable[[str], str]] = {
    "raw": str,
    "stripped": str.strip,
    "repr": repr,
    "ascii": ascii,
    "bytes": lambda text: repr(text.encode()),
    "json": json.dumps,
    "json as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "yaml": lambda text: yaml.safe_dump([text], width=999, default_style='"'),
    "yaml quoted": lambda text: yaml.safe_dump([text], width=999, default_style="'"),
    "quote": quote,
    "quote all": lambda text: quote(text, safe=""),
    "quote_plus": quote_plus,
    "lower case": lambda text: quote(text, safe="").replace("%2F", "%2f").replace("%3D", "%3d"),
    "shell": shlex.quote,
    "html": html.escape,
}
INNER = {**OUTER, "folded yaml": lambda text: yaml.safe_dump([text], width=20)}
BASE64 = {
    "base64": base64.b64encode,
    "url-safe": base64.urlsafe_b64encode,
    "login 1": lambda data: base64.b64encode(b"u:" + data),
    "login 2": lambda data: base64.b64encode(b"me:" + data),
    "login 3": lambda data: base64.b64encode(b"ada:" + data),
}
TEXTS = st.text(
    st.one_of(
        st.sampled_from(list("/%+=&?#@:;'\"\\$ <>`.-_~|ßé☃🛫")),
        st.sampled_from("abcdefgXYZ0123456789"),
        st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Mn")),
    ),
    max_size=16,
)
VALUES = st.tuples(TEXTS, TEXTS, st.sampled_from(["", "\n", "\r\n", " "])).map(
    lambda parts: f"{parts[0]}Zq7W{parts[1]}kX9vJ2{parts[2]}"
)
"""Secrets of which two pieces can be looked for, whatever becomes of the rest."""
PIECES = ("Zq7W", "kX9vJ2")


@settings(max_examples=80, deadline=None)
@given(VALUES, st.sampled_from(sorted(INNER)), st.sampled_from(sorted(OUTER)))
def test_value_is_masked_however_it_is_quoted(value: str, inner: str, outer: str) -> None:
    secrets.clear()
    register(value)
    text = OUTER[outer](f"<{INNER[inner](value)}>")
    masked = mask(f"before {text} after")
    assert not [piece for piece in PIECES if piece in masked], (text, masked)
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@settings(max_examples=6, deadline=None)
@given(VALUES, st.sampled_from(sorted(BASE64)))
def test_value_is_masked_in_base64(value: str, form: str) -> None:
    secrets.clear()
    register(value)
    encoded = BASE64[form](value.encode()).decode()
    masked = mask(f"Authorization: Basic {encoded} after")
    assert len(masked) - len("Authorization: Basic *** after") <= 12, masked
    assert masked.endswith(" after")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("1", "A_DIGIT"),
        ("0.25", "SHARE"),
        ("True", "A_FLAG"),
        ("true", "A_TOKEN"),
        ("/home/anna/data", "DATA"),
        ("/tmp/not/there/yet", "SCRATCH"),
        ("/home/anna", "HOME"),
        ("anna", "USER"),
        ("", "A_TOKEN"),
        ("  \n", "A_TOKEN"),
    ],
)
def test_path_number_or_usual_word_is_never_masked(
    value: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    register(value, name)
    for text in (value, f"it is {value}.", f"sqlite:////home/anna/{value}"):
        assert mask(text) == text


@pytest.mark.parametrize(
    ("value", "name", "text", "shown"),
    [
        ("fraud", "TEAM", "fraud", "***"),
        ("fraud", "TEAM", "fraud-detection of fraud", "fraud-detection of fraud"),
        (
            "eu-central-1",
            "REGION",
            "s3.eu-central-1.amazonaws.com",
            "s3.eu-central-1.amazonaws.com",
        ),
        ("hunter", "DB_PASSWORD", "hunter: 'hunter' hunters", "***: '***' hunters"),
        ("pw12", "DB_PASSWORD", "pw12 xpw12 \\npw12\\n", "*** xpw12 \\n***\\n"),
        ("abc", "DB_PASSWORD", "abc", "***"),
        ("abc", "DB_PASSWORD", "abc abcdef", "abc abcdef"),
        ("AKIA5OSFODNN7EXAM", "AWS_ID", "by xAKIA5OSFODNN7EXAMPLE", "by x***PLE"),
    ],
)
def test_short_value_or_word_is_masked_where_it_stands_alone(
    value: str, name: str, text: str, shown: str
) -> None:
    register(value, name)
    assert mask(text) == shown


def test_picture_in_a_page_is_not_broken_by_a_mask() -> None:
    for value in ("Zx9q", "a1b2c3", "s3cr3t-value-of-a-key"):
        register(value)
    page = base64.b64encode(random.Random(1).randbytes(1_000_000)).decode()
    page += "AAZx9qAA/a1b2c3B"
    assert mask(page) == page


@pytest.mark.parametrize(
    "run", ["%", "%25", "\\", "'", "''", " ", "+", "&amp;", "\\n", "\\\\n ", "%5C"]
)
def test_text_that_is_almost_a_secret_is_read_to_its_end(run: str) -> None:
    for inside in "%'\\ é&":
        register(f"Zq7W{inside}kX9vJ2{inside}{inside}end")
    text = f"Zq7W{run * 3000}kX9vJ{run * 3000}"
    assert mask(text) == text


@pytest.mark.parametrize("word", ["a", "a1", "a:", "a.b-", "://", "@", "a@", "?a=", "/"])
def test_long_word_beside_an_address_is_read_to_its_end(word: str) -> None:
    text = f"see https://host/ and {word * 50_000}"
    assert mask(text).startswith("see https://host/ and ")
    line = f"+{word * 50_000}".encode()
    patch = b"diff --git a/x b/x\n@@ -0,0 +1 @@\n" + line
    assert secrets.mask_patch(patch)[0].startswith(b"diff --git a/x b/x\n@@ -0,0 +1 @@\n+")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p/w@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("mlflow at http://me:p:w@host and on", "mlflow at http://me:***@host and on"),
        ("http://me:p@w@host/x@y", "http://me:***@host/x@y"),
        ("https://token@host/git", "https://***@host/git"),
        ("git+https://token@host/git", "git+https://***@host/git"),
        ("https://token:@host, https://t0:x-oauth-basic@host", "https://***:@host, https://***:***@host"),
        ("https://host/a?code=abc&x=1&Pwd=z#there", "https://host/a?code=***&x=1&Pwd=***#there"),
        ("https://host/?X-Amz-Signature=ab12&country_code=DE", "https://host/?X-Amz-Signature=***&country_code=DE"),
        ("https://host/?token=${TOKEN}", "https://host/?token=${TOKEN}"),
        ("jdbc:sqlserver://host;user=a;Password=b", "jdbc:sqlserver://host;user=a;Password=***"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:////a/b@c:d.db", "sqlite:////a/b@c:d.db"),
        ("http://host:5000/x@y", "http://host:5000/x@y"),
        ("http://[::1]:5000/x@y", "http://[::1]:5000/x@y"),
    ],
)  # fmt: skip
def test_secrets_in_addresses_are_masked(address: str, shown: str) -> None:
    assert mask(address) == shown
    assert mask(shown) == shown


@pytest.mark.parametrize(
    "written",
    [
        "${oc.env:A_TOKEN}",
        "${oc.env:'A_TOKEN'}",
        '${oc.env:"A_TOKEN"}',
        "${oc.env: A_TOKEN }",
        "${oc.env:${which}}",
        "${oc.env:NOT_SET,${oc.env:A_TOKEN}}",
        "${oc.env:NOT_SET,${copy}}",
        "${oc.decode:${oc.env:A_TOKEN}}",
        "${oc.select:copy}",
        "${copy}",
    ],
)
def test_environment_value_is_masked_however_it_is_named(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", "'v3ry s3cret'")
    monkeypatch.delenv("NOT_SET", raising=False)
    watch_resolver()
    config = OmegaConf.create({"it": written, "which": "A_TOKEN", "copy": "${oc.env:A_TOKEN}"})
    value = config.it
    assert "v3ry s3cret" in value
    assert mask(f"it is {value}!") in ("it is ***!", "it is '***'!")


def test_default_that_stands_in_a_file_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    watch_resolver()
    it = OmegaConf.create({"it": "${oc.env:NOT_SET,f4llback-9}"}).it
    assert mask(f"{it} of {it}") == "f4llback-9 of f4llback-9"


def test_parts_of_a_list_from_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTH", "[t0ken-of-0ne, t0ken-of-tw0]")
    watch_resolver()
    both = OmegaConf.create({"it": "${oc.decode:${oc.env:BOTH}}"}).it
    assert [mask(f"by {each}") for each in both] == ["by ***", "by ***"]


def test_variables_that_are_called_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "pgPassword"):
        monkeypatch.setenv(name, f"v4lue of {name}\n")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pr0xy/pass@proxy:8080")
    secrets.register_environment()
    for name in ("MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "pgPassword"):
        assert mask(f"Bearer v4lue of {name}!") == "Bearer ***!"
    assert mask("by pr0xy%2Fpass, or 'pr0xy'") == "by ***, or '***'"


def test_values_of_env_file_are_masked_but_local_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    said = {
        "SHOP_CODE": "x9%k2+z",
        "SHOP": "https://me:pw-99@shop.example.com/v1",
        "TZ": "Asia/Tokyo",
    }
    for name in said:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text("".join(f"{name}={text}\n" for name, text in said.items()))
    read_environment()
    text = "x9%k2+z, pw-99 at https://shop.example.com/v1 in Asia/Tokyo"
    assert mask(text) == "***, *** at https://shop.example.com/v1 in Asia/Tokyo"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "dbPassword", "PWD2", "api_key", "apiKey", "APIKey", "apikey", "accessKey"),
        *("authToken", "privateKey", "connectionString", "pwd", "client_secret", "credentials"),
        *("AWS_SECRET_ACCESS_KEY", "account-key", "x.token", "passphrase", "secretKey"),
    ],
)  # fmt: skip
def test_name_of_a_secret_is_recognised(name: str) -> None:
    assert secrets.is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("tokenHeader", "token_pattern", "tokenizer", "max_tokens", "key", "primary_key", "user"),
        *("password_column", "passes", "compass", "monkey", "AWS_ACCESS_KEY_ID", "author", "seed"),
    ],
)  # fmt: skip
def test_name_of_a_property_is_not_secret(name: str) -> None:
    assert not secrets.is_secret_name(name)


@pytest.mark.parametrize(
    "override",
    [
        *("+authToken=s3cr3t", "x.apiToken=s3cr3t", "+a={password:s3cr3t}", "+pwd='s3cr3t'"),
        *("+a={b:[{pwd:'s3cr3t x'}]}", "+a.privateKey=\"x=s3cr3t\"", "token=s3cr3t,b"),
        *("+secrets.db=s3cr3t", "+connectionString=a;b=s3cr3t", "+token=choice(a,s3cr3t)"),
        *("+a={password:s3cr3t", "x.token='${oc.env:X,s3cr3t}'", "+credentials=[s3cr3t]"),
        *("+password=12345678", "++x.accessKey='s3cr3t'"),
    ],
)  # fmt: skip
def test_secret_on_the_command_line_is_refused(override: str) -> None:
    with pytest.raises(UserError, match=r"a secret on the command line .*\$\{oc\.env:") as error:
        refuse_secrets(["seed=1", override])
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize(
    "override",
    [
        *("x.token=${oc.env:X}", "x.token='${oc.env:X}'", "x.token=${oc.env:'X'}"),
        *("x.token='${oc.env:X,${oc.env:Y}}'", "x.token='${oc.env:X,null}'", "x.token=null"),
        *("+a={password:'${oc.env:X}'}", "x.token='${oc.decode:${oc.env:X}}'", "~x.token"),
        *("model.token_pattern='\\w+'", "model.pad_token=0", "max_tokens=4096", "seed=1,2"),
        *("x=interval(0,1)", "experiment.question='Which token, then?'", "task=train"),
    ],
)  # fmt: skip
def test_reference_on_the_command_line_is_taken(override: str) -> None:
    refuse_secrets([override])


def configuration(place: Path, **model: str) -> Any:
    return OmegaConf.create(
        {
            "project": "little",
            "package": "own_package",
            "seed": 7,
            "threads": 1,
            "outputs": str(place / "outputs"),
            "task": {"_target_": "own_package.task", "uses": []},
            "tracking": {"uri": f"sqlite:///{place}/mlflow.db", "inline": False},
            "model": model,
        }
    )


def do(
    config: Any, work: Callable[[Run], object], words: Sequence[str] = (), **options: Any
) -> Run:
    """A run whose record is complete."""
    client = SyncClient.start(config, **options)
    folder = Path(config.outputs) / "default" / "2026-01-01" / f"10-00-00-{os.urandom(4).hex()}"
    run = Run.start(config, folder, ["run.py", *words], list(words), client)
    try:
        work(run)
    except Exception as error:
        run.finish("FAILED", error)
    else:
        run.finish("FINISHED")
    return run


def leaks(value: str, folder: Path) -> Callable[[Run], None]:
    """Work that says a secret in every way that there is."""

    def work(run: Run) -> None:
        texts = [form(value) for form in INNER.values()]
        texts += [form(value.strip().encode()).decode() for form in BASE64.values()]
        for text in texts:
            print("by", text)
            print(text, file=sys.stderr)
        half = len(value) // 2
        print(value[:half], end="")
        print(value[half:])
        logging.getLogger("somebody").warning("by %s, %r", value, value)
        warning = warnings.formatwarning(f"by {value}", UserWarning, "own.py", 7)
        print(warning, file=sys.stderr)  # where a test would not keep it
        run.log_text("\n".join(texts), "texts.txt")
        run.log_text(json.dumps({value: texts}), f"by {quote(value, safe='')}.json")
        (folder / "own.csv").write_text("a,b\n" + "\n".join(texts), encoding="utf-8")
        run.log_artifact(folder / "own.csv", "own.csv")
        run.log_params({f"by {value}": value, "list": [value], "json": json.dumps(value)})
        run.log_tag(f"to {value}", value)
        run.log_metric(f"of {value}", 1.0)
        run.log_provenance("where", {value: [value, {"path": Path(value)}]})
        run.log_dataset(
            "a", "1.0.0", "0" * 32, f"https://me:{quote(value)}@host", 1, "training", {}
        )
        with run.nested(f"within {value}") as child:
            child.log_tag("by", value)
        try:
            raise KeyError(value)
        except KeyError as error:
            raise ValueError(f"cannot log in with {value!r}, {value.encode()!r}") from error

    return work


def held(place: Path, *pieces: str) -> list[tuple[Path, str]]:
    """Files that hold one of these."""
    return [
        (path, piece)
        for path in place.rglob("*")
        if path.is_file()
        for piece in pieces
        if piece.encode() in path.read_bytes() or piece in str(path)
    ]


@pytest.fixture
def repository(little_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project of the runs in this process."""
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(little_project))
    return little_project


@settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # a run takes too long to look for the smallest
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(value=VALUES)
@example(value="Zq7W" + "\U000e1282" * 25 + "kX9vJ2\r\n")  # as a name, too long for a message
@pytest.mark.usefixtures("repository")
def test_record_holds_no_secret_in_any_form(
    value: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("place")
    secrets.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OF_OURS", value)
        config = configuration(place, key="${oc.env:OF_OURS}", inside="<${oc.env:'OF_OURS'}>")
        words = [f"model.key={value}", f"model.key={value!r}"]
        run = do(config, leaks(value, tmp_path_factory.mktemp("own")), words, starts_worker=False)
    core = base64.b64encode(value.strip().encode()).decode()[:-4]
    assert not held(place, *PIECES, core)
    told = (run.folder / "artifacts" / "traceback.txt").read_text()
    assert re.search(r"cannot log in with .*\*{3}.*, b.*\*{3}", told)
    assert run.folder.joinpath("console.log").read_text().count("***") > 2 * len(INNER)


def test_store_holds_no_secret_in_any_form(
    repository: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "Zq7W/é\"'%s+\\ x&kX9vJ2\n"
    monkeypatch.setenv("OF_OURS", value)
    note = repository / "note.yaml"
    note.write_text(f"password: unkn0wn-to-us\nby: {value.strip()}\nseed: 7\n", encoding="utf-8")
    own = tmp_path.parent / "own"
    own.mkdir()
    try:
        run = do(configuration(place, key="${oc.env:OF_OURS}"), leaks(value, own))
    finally:
        note.unlink()
    assert run.sync_client.wait([run.id, *(child.id for child in run.children)]) is None
    assert not held(place, *PIECES, "unkn0wn-to-us")
    patch = (run.folder / "artifacts" / "uncommitted.patch").read_text()
    assert "+password: ***\n+by: ***\n+seed: 7\n" in patch
    assert '"git_masked", "value": ["note.yaml"]' in (run.folder / "journal.jsonl").read_text()


class Refusing(BaseHTTPRequestHandler):
    """An interface that lets nobody in, and says who asked."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(f"not {self.headers['Authorization']} at {self.path}".encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[int]:
    """The port of a server that refuses."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("end", ["", "\n"])
def test_token_that_the_http_client_quotes_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: int, end: str
) -> None:
    token = f"Zq7W-t0ken/kX9vJ2{end}"
    monkeypatch.setenv("SHOP_TOKEN", token)

    def ask(run: Run) -> None:
        connection = HTTPConnection("127.0.0.1", refusing)
        header = {"Authorization": f"Bearer {run.config.model.token}"}
        connection.request("GET", f"/?code={quote(token)}", headers=header)
        raise PermissionError(connection.getresponse().read())

    run = do(configuration(tmp_path, token="${oc.env:SHOP_TOKEN}"), ask, starts_worker=False)
    assert not held(tmp_path, *PIECES)
    shown = "Invalid header value b'Bearer ***" if end else "not Bearer *** at /?code=***"
    assert shown in (run.folder / "artifacts" / "traceback.txt").read_text()


@pytest.mark.usefixtures("repository")
def test_token_for_the_store_is_in_no_file_of_the_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: int
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "Zq7W-t0ken/kX9vJ2\n")
    config = configuration(tmp_path)
    config.tracking.uri = f"http://127.0.0.1:{refusing}"
    run = do(config, lambda run: run.log_metric("a", 1.0))
    pending = run.sync_client.wait([run.id])
    assert pending is not None
    assert pending.startswith(f"pending: upload to the MLflow store http://127.0.0.1:{refusing} ")
    assert not held(tmp_path, *PIECES)
    assert not [piece for piece in PIECES if piece in pending]


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("password", ["Zq7W/kX9vJ2", "Zq7W%2FkX9vJ2", "Zq7W:@kX9vJ2"])
def test_password_with_a_slash_is_masked_for_any_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("WAREHOUSE", f"postgresql://me:{password}@127.0.0.1:1/db")

    def ask(run: Run) -> None:
        from sqlalchemy.engine import make_url

        address = run.config.model.address
        print(f"postgresql://me:{password}@other/db", quote(password, safe=""))
        print(make_url(address), make_url(address).password)
        print(make_url(address).render_as_string(hide_password=False))
        raise ValueError(urlsplit(address).port)  # which it shows up to the slash

    run = do(configuration(tmp_path, address="${oc.env:WAREHOUSE}"), ask, starts_worker=False)
    assert not held(tmp_path, *PIECES)
    assert "postgresql://me:***@other/db ***" in (run.folder / "console.log").read_text()


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("kind", [UserError, RefusedError, RuntimeError])
def test_job_in_another_process_brings_back_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def fails(run: Run) -> None:
        error = kind(f"cannot log in with {run.config.model.key!r}")
        run.finish("FAILED", error)
        raise error

    monkeypatch.setenv("OF_OURS", "Zq7W/t0ken/kX9vJ2\n")
    monkeypatch.setattr(job_process, "check_job", lambda _: None)
    monkeypatch.setattr(job_process, "execute", fails)
    config = OmegaConf.to_yaml(configuration(tmp_path, key="${oc.env:OF_OURS}"))
    folder = tmp_path / "outputs" / "default" / "2026-01-01" / "10-00-00" / "0-abcd1234"
    outcome = job_process.work(Job(0, config, [], str(folder), "", []))
    assert type(outcome.error) is kind  # from it follows the exit code
    assert "cannot log in with '***" in str(outcome.error)
    assert not [piece for piece in PIECES if piece.encode() in pickle.dumps(outcome)]
    assert not held(tmp_path, *PIECES)


def test_terminal_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    register("Zq7W t0ken\n")
    print("by Zq7W t0ken, or 'Zq7W%20t0ken'", file=Output(sys.stdout))
    assert capsys.readouterr().out == "by ***, or '***'\n"


@pytest.mark.parametrize(
    "write",
    [
        lambda output: output.writelines(["by Zq7W t0ken", "\n"]),
        lambda output: output.writelines(iter(["by Zq7W t0ken\n"])),
        lambda output: output.buffer.write(b"by Zq7W t0ken\n"),
        lambda output: output.buffer.writelines([bytearray(b"by Zq7W t0ken"), memoryview(b"\n")]),
        lambda output: print("by Zq7W t0ken", file=io.TextIOWrapper(output.buffer), flush=True),
        lambda output: print("by Zq7W t0ken", file=io.TextIOWrapper(output.detach()), flush=True),
    ],
)
@pytest.mark.parametrize("is_in_a_run", [False, True])
def test_terminal_shows_no_secret_however_it_is_written(
    tmp_path: Path, write: Callable[[Any], object], is_in_a_run: bool
) -> None:
    register("Zq7W t0ken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", Output((tmp_path / "terminal").open("w")))
        console = Console(tmp_path / "console.log", mask) if is_in_a_run else None
        write(sys.stdout)
        with suppress(ValueError):  # it is closed with a stream that was laid over it
            sys.stdout.flush()
        if console:
            console.stop()
    assert (tmp_path / "terminal").read_text() == "by ***\n"


def test_binary_output_is_written_unchanged(tmp_path: Path) -> None:
    register("Zq7W t0ken")
    data = random.Random(1).randbytes(10_000)
    with (tmp_path / "terminal").open("w") as stream:
        assert Output(stream).buffer.write(data) == len(data)
    assert (tmp_path / "terminal").read_bytes() == data


def test_secret_in_pieces_is_masked_in_the_console_log(tmp_path: Path) -> None:
    register("Zq7W-t0ken\n")
    console = Console(tmp_path / "console.log", mask)
    print("by Zq7W", end="")
    print("-t0", end="")
    print("ken\rand \x1b[1mZq7W\x1b[0m-t0ken", end="")
    console.stop()
    assert (tmp_path / "console.log").read_bytes() == b"by ***\rand ***"
