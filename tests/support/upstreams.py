"""Upstream systems for real: a PostgreSQL server, and an HTTP interface that pages."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import polars as pl
import pytest

PASSWORD = "s3cr/t@x:y"
PAGE = 1000


class Postgres:
    """A server of its own, with the project's tables."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            pytest.skip("no PostgreSQL here")
        self.log = folder / "log"
        self._folder, self._bin = folder, found[-1].parent
        self._as: list[str] = []
        if os.getuid() == 0:  # which PostgreSQL refuses
            folder.chmod(0o755)
            shutil.chown(folder, "postgres")
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        (folder / "password").write_text(PASSWORD)
        self._run("initdb", "-D", folder / "data", "-U", "owner", "-N", "-A", "scram-sha-256",
                  "--pwfile", folder / "password", "--locale=C.UTF-8")  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [*self._as, self._bin / "postgres", "-D", folder / "data", "-p", str(self.port),
                 "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
                 "-c", "log_statement=all", "-c", "timezone=Asia/Tokyo"],
                stderr=log,
            )  # fmt: skip
        end = time.monotonic() + 60
        while "ready to accept connections" not in self.log.read_text():
            assert time.monotonic() < end, self.log.read_text()
            assert self._process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def _run(self, *words: Any) -> None:
        command = [*self._as, self._bin / words[0], *words[1:]]
        subprocess.run(command, check=True, capture_output=True)

    def execute(self, statement: str) -> None:
        from adbc_driver_postgresql import dbapi

        address = f"postgresql://owner:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            connection.commit()

    def fill(self, name: str, frame: pl.DataFrame, columns: str) -> None:
        """Makes a table of these columns, as SQL declares them, with a frame's rows."""
        from adbc_driver_postgresql import dbapi

        address = f"postgresql://owner:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("loaded", frame.to_arrow(), mode="replace")
            cursor.execute(f"CREATE TABLE {name} ({columns})")
            names = ", ".join(f'"{name}"' for name in frame.columns)
            cursor.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM loaded")
            connection.commit()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)


def records(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them, with something beyond the contract in each."""
    texts = frame.with_columns(
        pl.col(pl.Datetime).dt.to_string("%Y-%m-%dT%H:%M:%SZ"), pl.col(pl.Date).dt.to_string()
    )
    return [{**row, "_id": number} for number, row in enumerate(texts.to_dicts())]


class Interface(ThreadingHTTPServer):
    """Tables, page by page; `answers` go out first, one for each request."""

    daemon_threads = True

    def __init__(self, tables: Mapping[str, pl.DataFrame], event_time: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.event_time = event_time
        self.token: str | None = None
        self.tables = {name: records(frame) for name, frame in tables.items()}
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: list[Callable[[Handler], None]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A client that went away is none of ours."""


class Handler(BaseHTTPRequestHandler):
    server: Interface
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        server = self.server
        server.asked.append((self.path, dict(self.headers)))
        if server.answers:
            server.answers.pop(0)(self)
            return
        if server.token and self.headers["Authorization"] != f"Bearer {server.token}":
            self.reply(401, {"error": "see token"})
            return
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        way, name = parts.path.strip("/").split("/")
        table = server.tables[name]
        if "since" in query:
            table = [row for row in table if row[server.event_time] >= query["since"]]
        start = int(query.get("start", 0))
        if way == "page":
            start = (int(query.get("p", 1)) - 1) * PAGE
        chosen = table if way == "all" else table[start : start + PAGE]
        following = start + PAGE if start + PAGE < len(table) else None
        document: Any = {"data": {"items": chosen}, "links": {"next": None}, "after": following}
        if way == "next" and following:
            document["links"]["next"] = f"?{urlencode({**query, 'start': following})}"
        self.reply(200, chosen if way == "all" else document)

    def reply(self, status: int, document: Any, **headers: str) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
