"""Whatever an HTTP server answers: a table or one line, never a traceback, never for ever."""

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.sources import fetch, http
from support.data_project import DataProject, build
from support.reading import serve

TOKEN = "t0ken-of-ours"
Answer = Callable[[socket.socket], None]


class RawServer:
    """Answers with bytes, correct HTTP or not; the last answer goes out again and again."""

    def __init__(self) -> None:
        self.answers: list[bytes | Answer] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the client went away
            asked = b""
            while b"\r\n\r\n" not in asked:
                if not (part := connection.recv(65536)):
                    return
                asked += part
            self.asked.append(asked.decode("latin-1"))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)

    def close(self) -> None:
        self._socket.close()


def ok(body: Any, *headers: str, length: bool = True) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = ["HTTP/1.1 200 OK", "Connection: close", *headers]
    lines += [f"Content-Length: {len(data)}"] if length else []
    return "\r\n".join([*lines, "", ""]).encode() + data


def row(shop: str) -> dict[str, Any]:
    return {"shop": shop, "size": 1, "opened": None}


def dripping(start: bytes, again: bytes, pause: float) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(again)
            time.sleep(pause)

    return answer


@pytest.fixture(scope="module")
def module_project(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("answers") / "project")


@pytest.fixture
def project(module_project: DataProject, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    monkeypatch.setattr(http, "BACKOFF", 0.01)
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    return module_project


@pytest.fixture
def server() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.close()


NEXT = "records=items next=next"
CURSOR = "records=items cursor=next cursorParameter=c"


def shops(project: DataProject, server: RawServer, more: str = "") -> Contract:
    location = f"type: api\nlocation: {server.url}/shops"
    return serve(project, "shops", location, f"token=${{SHOP_TOKEN}} timeout=2 {more}")


def line_of(contract: Contract) -> str:
    """The message of a read that must fail with a user's error."""
    with pytest.raises(UserError) as error:
        fetch.fetch_rows(contract)
    return checked(str(error.value))


def checked(message: str) -> str:
    assert len(message.splitlines()) <= 2, message
    assert len(message) < 1500
    assert TOKEN not in message
    assert "Traceback" not in message
    return message


DEEP = 200_000
BODIES = {
    "nested lists": (b"[" * DEEP + b"]" * DEEP, "nested too deep"),
    "nested objects": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "nested too deep"),
    "a nested value": (
        b'[{"shop": "a", "size": 1, "opened": ' + b"[" * DEEP + b"]" * DEEP + b"}]",
        "nested too deep",
    ),
    "nothing": (b"", "gives invalid JSON"),
    "a page for people": (b"<!doctype html><title>Sign in</title>", "gives invalid JSON"),
    "not UTF-8": (b'[{"shop": "\xff\xfe", "size": 1, "opened": null}]', "gives invalid JSON"),
    "two documents": (b"[][]", "gives invalid JSON"),
    "a long number": (b"[" + b"9" * 6000 + b"]", "gives"),
    "a key twice in a record": (
        b'[{"shop": "a", "shop": "b", "size": 1, "opened": null}]',
        "duplicate key 'shop'",
    ),
    "text": (b'"shops"', "gives no list"),
    "null": (b"null", "gives no list"),
    "half a letter": (
        b'[{"shop": "\\ud800", "size": 1, "opened": null}]',
        "must be a string, but row 1",
    ),
    "records of text": (b'["a"]', "not a JSON object"),
    "records of lists": (b'[["a", 1, null]]', "not a JSON object"),
    "a null record": (b"[null]", "not a JSON object"),
}


@pytest.mark.parametrize("name", BODIES)
def test_body_that_is_no_table_is_one_line(
    project: DataProject, server: RawServer, name: str
) -> None:
    body, says = BODIES[name]
    server.answers = [ok(body)]
    assert says in line_of(shops(project, server))


@pytest.mark.parametrize("depth", [33, 100, 900, 980, 1000, 1100, 5000])
def test_value_of_any_great_depth_is_one_line(
    project: DataProject, server: RawServer, depth: int
) -> None:
    value = b"[" * depth + b"]" * depth
    server.answers = [ok(b'[{"shop": "a", "size": 1, "opened": ' + value + b"}]")]
    assert "nested too deep" in line_of(shops(project, server))


def test_records_of_a_key_that_is_there_twice_are_not_lost(
    project: DataProject, server: RawServer
) -> None:
    items = json.dumps([row("a")])
    server.answers = [ok(f'{{"items": {items}, "items": {items}}}'.encode())]
    assert "duplicate key 'items'" in line_of(shops(project, server, "records=items"))


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
RAW = {
    "nothing at all": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "a letter for a status": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of 99": b"HTTP/1.1 99 Low\r\n\r\n[]",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "a part": b"HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\n[]",
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "a length of letters": HEAD + b"Content-Length: many\r\n\r\nxx",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]x",
    "a length too long": HEAD + b"Content-Length: 999999999999999999999\r\n\r\n[]",
    "chunks of nonsense": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n",
    "a negative chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n[]\r\n",
    "chunks without an end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
    "gzip that is none": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]",
    "gzip cut off": ok(gzip.compress(json.dumps([row("a")] * 500).encode())[:40],
                       "Content-Encoding: gzip"),
    "a header too long": HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n[]",
    "headers too many": HEAD + b"X: x\r\n" * 500 + b"\r\n[]",
    "a redirect nowhere": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "a redirect to itself": b"HTTP/1.1 302 Found\r\nLocation: /shops\r\nContent-Length: 0\r\n\r\n",
    "a redirect to a script": b"HTTP/1.1 302 Found\r\nLocation: javascript:alert(1)\r\n"
                              b"Content-Length: 0\r\n\r\n",
    "a redirect to a file": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n"
                            b"Content-Length: 0\r\n\r\n",
    "a redirect to half an address": b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n"
                                     b"Content-Length: 0\r\n\r\n",
    "a redirect to a port of letters": b"HTTP/1.1 302 Found\r\nLocation: http://a:b/\r\n"
                                       b"Content-Length: 0\r\n\r\n",
    "come again in letters": b"HTTP/1.1 503 Busy\r\nRetry-After: soon\r\n"
                             b"Content-Length: 0\r\n\r\n",
    "come again before": b"HTTP/1.1 429 Busy\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_answer_that_is_no_page_is_one_line(
    project: DataProject, server: RawServer, name: str
) -> None:
    server.answers = [RAW[name]]
    message = line_of(shops(project, server, "maxSeconds=20"))
    assert f"{server.url}/shops" in message


@pytest.mark.parametrize("value", ["1e400", "9" * 400, "Fri, 99 Foo 2024 00:00:00 GMT", "\x00"])
def test_odd_retry_after_does_not_keep_the_read_up(
    project: DataProject, server: RawServer, value: str
) -> None:
    busy = f"HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode()
    server.answers = [busy, ok([row("a")])]
    with contextlib.suppress(UserError):
        assert fetch.fetch_rows(shops(project, server, "maxSeconds=3")).height == 1


NEXTS: dict[str, tuple[Any, str]] = {
    "a number": (7, "the number 7"),
    "zero": (0, "the number 0"),
    "true": (True, "true"),
    "an object": ({"href": "/shops?p=2"}, "an object"),
    "an empty list": ([], "a list"),
    "a script": ("javascript:alert(1)", "is not an address"),
    "a file": ("file:///etc/passwd", "is not an address"),
    "data": ("data:application/json,[]", "is not an address"),
    "half an address": ("http://[::1", "is not an address"),
    "a port of letters": ("http://127.0.0.1:port/", "is not an address"),
    "a port too high": ("http://127.0.0.1:99999/", "is not an address"),
    "another host": ("//elsewhere.example/shops", "on another host (elsewhere.example)"),
    "the host as a user": ("http://127.0.0.1@elsewhere.example/", "another host"),
    "another scheme": ("https://127.0.0.1/shops", "another host (https://127.0.0.1)"),
    "ten million letters": ("/shops?p=" + "x" * 10_000_000, "letters"),
    "itself": ("/shops", "is its own next page"),
    "itself by dots": ("./shops", "is its own next page"),
    "only a question mark": ("?", "own next page"),
}


@pytest.mark.parametrize("name", NEXTS)
def test_next_page_that_is_none_is_one_line(
    project: DataProject, server: RawServer, name: str
) -> None:
    value, says = NEXTS[name]
    server.answers = [ok({"items": [row("a")], "next": value})]
    assert says in line_of(shops(project, server, NEXT))
    assert len(server.asked) <= 2


@pytest.mark.parametrize("value", [{"a": 1}, [1], True, "x" * 10_000])
def test_cursor_that_is_none_is_one_line(
    project: DataProject, server: RawServer, value: Any
) -> None:
    server.answers = [ok({"items": [row("a")], "next": value})]
    assert "cursor" in line_of(shops(project, server, CURSOR))


@pytest.mark.parametrize("way", [NEXT, CURSOR])
@pytest.mark.parametrize("value", [None, "", False, ...])
def test_last_page_may_say_so_in_each_usual_way(
    project: DataProject, server: RawServer, way: str, value: Any
) -> None:
    last = {"items": [row("b")]} | ({} if value is ... else {"next": value})
    server.answers = [ok({"items": [row("a")], "next": "?p=2"}), ok(last)]
    assert fetch.fetch_rows(shops(project, server, way))["shop"].to_list() == ["a", "b"]


def test_next_page_may_name_the_usual_port() -> None:
    client = http.origin("http://host/a"), http.origin("http://HOST:80/b")
    assert client[0] == client[1]
    assert http.origin("https://host:80/") != http.origin("http://host/")


@pytest.mark.parametrize(
    "token", ["two\nlines", "two\r\nX-Other: zzz", "nul\0", "漢字-token", "tab\ttoken", "\x7fx"]
)
def test_token_that_no_header_holds_is_one_line_without_it(
    project: DataProject, server: RawServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    server.answers = [ok([row("a")])]
    read = shops(project, server)
    if "\0" in token:  # no variable can hold it, but an own reader's options could
        monkeypatch.setattr(type(read.server), "resolved", lambda self: {
            **self.options, "token": token})  # fmt: skip
    else:
        monkeypatch.setenv("SHOP_TOKEN", token)
    message = line_of(read)
    assert "the token holds" in message
    for part in token.split():
        assert part.strip("\0") not in message.replace("token holds", "")
    assert server.asked == []


ENDLESS: dict[str, Answer] = {
    "a body": dripping(HEAD + b"\r\n[", b" " * 100_000, 0),
    "a body in chunks": dripping(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b" " * 4096 + b"\r\n", 0
    ),
    "a dripping body": dripping(HEAD + b"\r\n[", b" ", 0.05),
    "a dripping chunk": dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1000\r\n", b" ", 0.05),
    "a dripping header": dripping(HEAD + b"X-Long: ", b"x", 0.05),
    "dripping headers": dripping(HEAD, b"A: b\r\n", 0.1),
    "a dripping status": dripping(b"", b"H", 0.05),
    "steps on the way": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    "a refusal's body": dripping(b"HTTP/1.1 503 Busy\r\n\r\n", b"x", 0.05),
    "a redirect's body": dripping(
        b"HTTP/1.1 302 Found\r\nLocation: /shops\r\nConnection: close\r\n\r\n", b"x", 0.05
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_answer_without_end_comes_to_one(
    project: DataProject, server: RawServer, name: str
) -> None:
    server.answers = [ENDLESS[name]]
    message = line_of(shops(project, server, "maxBytes=5000000 maxSeconds=2"))
    assert f"{server.url}/shops" in message


def test_seconds_are_those_of_the_whole_read(project: DataProject, server: RawServer) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 200\r\nContent-Length: 0\r\n\r\n"
    server.answers = [busy]
    message = line_of(shops(project, server, "maxSeconds=1"))
    assert "exceeds its limit of 1 seconds" in message
    assert "raise 'maxSeconds' in signals/shops.yaml" in message


def test_bytes_are_those_of_all_pages_unpacked(project: DataProject, server: RawServer) -> None:
    more = {"more": " " * 30_000}
    first = {"items": [row("a") | more], "next": "?p=2"}
    last = {"items": [row("b") | more], "next": None}
    server.answers = [
        ok(gzip.compress(json.dumps(each).encode()), "Content-Encoding: gzip")
        for each in (first, last)
    ]
    assert "50,000 bytes" in line_of(shops(project, server, f"{NEXT} maxBytes=50000"))
    server.answers = [
        ok(gzip.compress(json.dumps(each).encode()), "Content-Encoding: gzip")
        for each in (first, last)
    ]
    assert fetch.fetch_rows(shops(project, server, f"{NEXT} maxBytes=70000")).height == 2


def test_gzip_bomb_is_not_unpacked(project: DataProject, server: RawServer) -> None:
    bomb = gzip.compress(b" " * 300_000_000)
    server.answers = [ok(bomb, "Content-Encoding: gzip")]
    assert "1,000,000 bytes" in line_of(shops(project, server, "maxBytes=1000000"))


def test_pages_are_counted(project: DataProject, server: RawServer) -> None:
    pages = [ok({"items": [row(str(n))], "next": f"?p={n}"}) for n in range(4)]
    server.answers = [*pages, ok({"items": [], "next": None})]
    assert "limit of 3 pages" in line_of(shops(project, server, f"{NEXT} maxPages=3"))
    assert len(server.asked) == 3
    server.answers = [*pages, ok({"items": [], "next": None})]
    assert fetch.fetch_rows(shops(project, server, f"{NEXT} maxPages=5")).height == 4


@pytest.mark.parametrize("name", http.LIMITS)
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "1e9", "9" * 30])
def test_limit_that_is_no_whole_number_is_refused(
    project: DataProject, server: RawServer, name: str, value: str
) -> None:
    with pytest.raises(
        UserError, match=f"{name} must be a whole number of at least 1, got '{value}'"
    ):
        shops(project, server, f"{name}={value}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["shop", "size", "opened", "items", "next", "x"]), inner)
    ),
    max_leaves=8,
)
RECORDS = st.lists(
    st.fixed_dictionaries({"shop": JSON, "size": JSON, "opened": JSON})
    | st.builds(row, st.text(max_size=4)),
    max_size=4,
)
PAGES = st.fixed_dictionaries({"items": RECORDS | JSON, "next": JSON})


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(documents=st.lists(PAGES, min_size=1, max_size=3), cut=st.none() | st.integers(0, 200))
def test_any_pages_are_a_table_with_every_row_or_one_line(
    project: DataProject, server: RawServer, documents: list[Any], cut: int | None
) -> None:
    server.answers = [ok(json.dumps(each).encode()[:cut]) for each in documents]
    server.answers.append(ok({"items": [], "next": None}))
    server.asked.clear()
    try:
        frame = fetch.fetch_rows(shops(project, server, f"{NEXT} maxSeconds=5"))
    except UserError as error:
        checked(str(error))
        return
    assert isinstance(frame, pl.DataFrame)
    pages = [*documents, {"items": []}][: len(server.asked)]
    assert frame.height == sum(len(page["items"]) for page in pages)


START = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 301 X\r\n", b""]
)
LINES = st.lists(
    st.sampled_from([
        b"Content-Length: 2\r\n", b"Content-Length: -1\r\n", b"Content-Length: 1e3\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: gzip, deflate, gzip\r\n", b"Content-Encoding: br\r\n",
        b"Location: http://:80/\r\n", b"Location: //\r\n", b"Location: http://127.0.0.1:1/\r\n",
        b" folded\r\n", b"no colon\r\n", b": no name\r\n",
        b"Retry-After: x\r\n", b"\xff\xfe: \x00\r\n",
    ]) | st.binary(max_size=10),
    max_size=4,
)  # fmt: skip


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(start=START, lines=LINES, body=st.sampled_from([b"[]", b"", b"2\r\n[]\r\n0\r\n\r\n"])
       | st.binary(max_size=20))  # fmt: skip
def test_any_bytes_are_a_table_or_one_line(
    project: DataProject, server: RawServer, start: bytes, lines: list[bytes], body: bytes
) -> None:
    server.answers = [start + b"".join(lines) + b"\r\n" + body]
    try:
        frame = fetch.fetch_rows(shops(project, server, "maxSeconds=5"))
    except UserError as error:
        checked(str(error))
    else:
        assert frame.height == 0


def test_own_error_keeps_its_traceback(
    project: DataProject, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong in the reader itself is no mistake of a server."""
    monkeypatch.setattr(http, "_retry_after", lambda _: 1 / 0)
    server.answers = [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"]
    with pytest.raises(ZeroDivisionError):
        fetch.fetch_rows(shops(project, server))


def test_read_that_is_given_up_leaves_no_one_reading(
    project: DataProject, server: RawServer
) -> None:
    before = set(threading.enumerate())
    server.answers = [ENDLESS["a dripping body"]]
    line_of(shops(project, server, "maxSeconds=1"))
    end = time.monotonic() + 60
    while [each for each in set(threading.enumerate()) - before if "(ask)" in each.name]:
        assert time.monotonic() < end, "somebody still reads"
        time.sleep(0.05)
