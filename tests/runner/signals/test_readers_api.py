"""HTTP interfaces as sources: a real server that pages, limits, fails and recovers."""

import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import polars as pl
import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.sources import fetch, http
from support.data_project import DataProject, build, replace
from support.reading import content, contract, rows, serve
from support.upstreams import Handler, Interface

TOKEN = "t0ken/of@ours"
MARCH = datetime(2024, 3, 1, 5, tzinfo=UTC)


def status(code: int, **headers: str) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(code, {"error": "see token"}, **headers)


def body(text: Any) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(200, text)


def half(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'[{"shop": "a"')
    handler.close_connection = True


def silence(handler: Handler) -> None:
    time.sleep(3)
    handler.close_connection = True


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("interfaces") / "project")


@pytest.fixture
def project(tmp_path: Path, original: DataProject, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    shutil.copytree(original.root, tmp_path / "project")
    monkeypatch.setattr(http, "BACKOFF", 0.01)
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    return DataProject(tmp_path / "project")


@pytest.fixture
def server(original: DataProject) -> Iterator[Interface]:
    tables = {name: rows(original, name) for name in ("visits", "shops")}
    server = Interface(tables, "at")
    yield server
    server.shutdown()
    server.server_close()


WAYS = {
    "next": "next=links.next records=data.items",
    "page": "page=p records=data.items",
    "cursor": "cursor=after cursorParameter=start records=data.items",
    "all": "",
}


@pytest.mark.parametrize("name", ["visits", "shops"])
@pytest.mark.parametrize("way", WAYS)
def test_same_rows_are_the_same_signal_however_they_are_paged(
    project: DataProject, server: Interface, way: str, name: str
) -> None:
    wanted = content(contract(project, name))
    found = serve(project, name, f"type: api\nlocation: {server.url}/{way}/{name}", WAYS[way])
    assert content(found) == wanted
    pages = {"visits": {"all": 1, "page": 4}.get(way, 3), "shops": 2 if way == "page" else 1}
    assert len(server.asked) == pages[name]


def test_only_newer_rows_are_asked_for(project: DataProject, server: Interface) -> None:
    location = f"type: api\nlocation: {server.url}/cursor/visits?limit=7"
    found = serve(project, "visits", location, f"{WAYS['cursor']} since=since")
    everything = fetch.fetch_rows(found)
    server.asked.clear()
    newer = fetch.fetch_rows(found, MARCH)
    assert newer.equals(everything.filter(pl.col("at") >= MARCH))
    queries = [parse_qs(urlsplit(path).query) for path, _ in server.asked]
    assert all(query["since"] == ["2024-03-01T05:00:00Z"] for query in queries)
    assert all(query["limit"] == ["7"] for query in queries)
    assert len(queries) == 1  # of three pages


@pytest.mark.parametrize(
    ("kind", "tokens", "wanted"),
    [
        ("integer", [b"9007199254740993", b"-9223372036854775808", b"5.0"],
         [2**53 + 1, -(2**63), 5]),
        ("number", [b"0.1", b"1e22", b"-0.0"], [0.1, 1e22, -0.0]),
        ("string", [b"1.0", b"1", b"12345678901234567890123"],
         ["1.0", "1", "12345678901234567890123"]),
        ("object", [b'{"b": 1.10, "a": 9007199254740993}', b"null", b"{}"],
         ['{"b":1.10,"a":9007199254740993}', None, "{}"]),
        ("array", [b"[1.10]", b"[]", b"[null]"], ["[1.10]", "[]", "[null]"]),
    ],
)  # fmt: skip
def test_value_of_an_interface_arrives_with_every_digit(
    project: DataProject, server: Interface, kind: str, tokens: list[bytes], wanted: list[Any]
) -> None:
    server.answers.append(body(_records(tokens)))
    replace(project.contract("shops"), "name: size, logicalType: integer",
            f"name: size, logicalType: {kind}")  # fmt: skip
    found = serve(project, "shops", f"type: api\nlocation: {server.url}/all/shops")
    got = fetch.fetch_rows(found)["size"].to_list()
    assert list(map(repr, got)) == list(map(repr, wanted))


@pytest.mark.parametrize(
    ("kind", "tokens", "says"),
    [
        ("integer", [b"1", b"9223372036854775808"], "row 2 of .* beyond 64 bits"),
        ("number", [b"1", b"0.12345678901234567891"], "row 2 of .* a 64-bit number cannot hold"),
        ("number", [b"1", b"1e400"], "row 2 of .* has '1e400', which a 64-bit number cannot hold"),
        ("string", [b"1", b'"1"'], "row 2 of .* has '1' among numbers"),
        ("object", [b"{}", b'{"a": 1, "a": 2}'], "gives invalid JSON .*duplicate key 'a'"),
    ],
)
def test_value_of_an_interface_that_would_change_is_refused(
    project: DataProject, server: Interface, kind: str, tokens: list[bytes], says: str
) -> None:
    server.answers.append(body(_records(tokens)))
    replace(project.contract("shops"), "name: size, logicalType: integer",
            f"name: size, logicalType: {kind}")  # fmt: skip
    found = serve(project, "shops", f"type: api\nlocation: {server.url}/all/shops")
    with pytest.raises(UserError, match=says) as error:
        fetch.fetch_rows(found)
    assert len(str(error.value).splitlines()) <= 2


def _records(tokens: list[bytes]) -> bytes:
    rows = (b'{"shop": "%d", "opened": null, "size": %s}' % row for row in enumerate(tokens))
    return b"[" + b",".join(rows) + b"]"


def test_nothing_new_is_no_mistake(project: DataProject, server: Interface) -> None:
    location = f"type: api\nlocation: {server.url}/all/visits"
    found = serve(project, "visits", location, "since=since")
    late = fetch.fetch_rows(found, datetime(2030, 1, 1, tzinfo=UTC))
    assert late.height == 0
    assert late.schema == fetch.fetch_rows(found).schema


def test_token_goes_into_the_header_and_nowhere_else(
    project: DataProject, server: Interface
) -> None:
    location = f"type: api\nlocation: {server.url}/all/shops"
    fetch.fetch_rows(serve(project, "shops", location, "token=${SHOP_TOKEN}"))
    assert server.asked[-1][1]["Authorization"] == f"Bearer {TOKEN}"
    fetch.fetch_rows(serve(project, "shops", location, "token=${SHOP_TOKEN} tokenHeader=X-Key"))
    assert server.asked[-1][1]["X-Key"] == TOKEN
    assert "Authorization" not in server.asked[-1][1]
    assert TOKEN not in server.asked[-1][0]


def test_secret_in_a_redirected_address_is_masked(
    project: DataProject, server: Interface, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.answers.append(lambda handler: handler.reply(301, {}, Location=handler.path))
    location = f"type: api\nlocation: {server.url}/all/shops?key=${{SHOP_TOKEN}}"
    fetch.fetch_rows(serve(project, "shops", location))
    assert "Redirecting" in caplog.text
    assert TOKEN not in caplog.text
    assert quote(TOKEN, safe="") not in caplog.text


@pytest.mark.parametrize(
    "trouble",
    [
        [status(500), status(503), status(502)],
        [status(429, Retry_After="0")],
        [half],
    ],
)
def test_server_that_recovers_is_asked_again(
    project: DataProject, server: Interface, trouble: list[Any]
) -> None:
    wanted = content(contract(project, "shops"))
    server.answers += trouble
    found = serve(project, "shops", f"type: api\nlocation: {server.url}/all/shops")
    assert content(found) == wanted
    assert len(server.asked) == len(trouble) + 1


def test_server_that_says_when_to_ask_again_is_obeyed(
    project: DataProject, server: Interface
) -> None:
    server.answers.append(status(429, Retry_After="1"))
    started = time.monotonic()
    fetch.fetch_rows(serve(project, "shops", f"type: api\nlocation: {server.url}/all/shops"))
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("answers", "says", "asked"),
    [
        ([status(503)] * 9, "answers HTTP 503, also after 5 more tries", 6),
        ([status(404)], "answers HTTP 404", 1),
        ([status(401)], r"refuses access \(HTTP 401\)", 1),
        ([body(b'{"data": [')], "gives invalid JSON", 1),
        ([body(b"<html>sign in</html>")], "gives invalid JSON", 1),
        ([body(b'[{"shop": NaN}]')], "gives invalid JSON", 1),
        ([body({"data": []})], "gives no list; its entries are: data", 1),
        ([body([1])], "gives a record that is not a JSON object", 1),
        ([body([{"shop": "a", "sze": 1, "opened": None}])], "Did you mean 'sze'", 1),
        ([body([{"shop": "a", "size": 2, "opened": None}, {"shop": "b", "size": 2.5,
                "opened": None}])], "size must be an integer, but row 2 .* has '2.5'", 1),
        ([half] * 9, "breaks off within a page", 6),
        ([silence] * 9, "does not answer within 0.2 s", 6),
    ],
)  # fmt: skip
def test_failing_server_is_named_without_a_secret(
    project: DataProject,
    server: Interface,
    caplog: pytest.LogCaptureFixture,
    answers: list[Any],
    says: str,
    asked: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers += answers
    location = f"type: api\nlocation: {server.url}/all/shops?appid=${{SHOP_TOKEN}}"
    found = serve(project, "shops", location, "token=${SHOP_TOKEN} timeout=0.2")
    with pytest.raises(UserError, match=f"(?s)signal shops: .*{says}") as error:
        fetch.fetch_rows(found)
    message = str(error.value)
    assert len(message.splitlines()) <= 2
    assert server.url in message
    assert len(server.asked) == asked
    for text in (message, caplog.text):
        assert TOKEN not in text
        assert "t0ken" not in text
    assert error.value.__context__ is None or error.value.__suppress_context__


def test_whole_numbers_are_integers_however_they_are_written(
    project: DataProject, server: Interface
) -> None:
    server.answers.append(body(b'[{"shop": "a", "size": 2.0, "opened": null},'
                               b' {"shop": "b", "size": 3, "opened": null}]'))  # fmt: skip
    frame = fetch.fetch_rows(
        serve(project, "shops", f"type: api\nlocation: {server.url}/all/shops")
    )
    assert frame["size"].to_list() == [2, 3]


@pytest.mark.parametrize(
    ("way", "answers", "says"),
    [
        ("next", [body({"data": {"items": []}, "links": {"next": "http://elsewhere.example/x"}})],
         r"names a next page on another host \(elsewhere.example\)"),
        ("next", [body({"data": {"items": []}, "links": {"next": "/next/shops"}})],
         "is its own next page"),
        ("cursor", [body({"data": {"items": []}, "after": 7})] * 2, "is its own next page"),
        ("page", [body({"data": {"items": [{"shop": "a", "size": 1, "opened": None}]}})] * 2,
         "gives page 1 again; does it know the parameter 'p'"),
    ],
)  # fmt: skip
def test_endless_pages_and_pages_elsewhere_are_refused(
    project: DataProject, server: Interface, way: str, answers: list[Any], says: str
) -> None:
    server.answers += answers
    found = serve(project, "shops", f"type: api\nlocation: {server.url}/{way}/shops", WAYS[way])
    with pytest.raises(UserError, match=says):
        fetch.fetch_rows(found)


def test_server_that_is_away_is_said(project: DataProject, server: Interface) -> None:
    server.shutdown()
    server.server_close()
    found = serve(project, "shops", f"type: api\nlocation: {server.url}/all/shops")
    with pytest.raises(UserError, match=f"{re.escape(server.url)}/all/shops cannot be reached"):
        fetch.fetch_rows(found)


def test_classified_value_of_an_interface_is_not_shown(
    project: DataProject, server: Interface
) -> None:
    replace(project.contract("shops"), "{name: size,", "{name: size, classification: personal,")
    server.answers.append(body([{"shop": "a", "size": "4711", "opened": "x"},
                                {"shop": "b", "size": {"v": 4711}, "opened": "x"}]))  # fmt: skip
    found = serve(project, "shops", f"type: api\nlocation: {server.url}/all/shops")
    with pytest.raises(UserError) as error:
        fetch.fetch_rows(found)
    assert "4711" not in str(error.value)
