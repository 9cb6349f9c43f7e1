"""HTTP interfaces that answer in JSON, page by page."""

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import polars as pl

from ml_experiment_runner.signals.casting import casts
from ml_experiment_runner.signals.checks import schema
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.sources import columns, http

_DEEPEST = 32  # levels of lists and objects within a value
_DEEP = "gives JSON that is nested too deep"


def read(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """The records of all pages; with `since`, only what the interface gives since then."""
    options = contract.source_configuration.resolved()
    url = options["location"]
    if since is not None and "since" in options:
        url = _with(url, options["since"], f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    client = _Client(contract, options)
    with http.quiet(contract):
        rows = _in_time(client, url, options)
    values = {name: [row[name] for row in rows] for name in contract.source_names}
    return pl.DataFrame(
        [columns.of_values(name, values[name], contract.source, contract) for name in values]
    )


def _in_time(client: "_Client", url: str, options: dict[str, str]) -> list[dict[str, Any]]:
    """The records of all pages.

    A thread of its own asks for them: one byte a second resets every timeout of a socket, and a
    host name may take for ever; only somebody else can put an end to it.
    """
    rows: list[dict[str, Any]] = []
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            for page, records in _pages(client, url, options):
                rows.extend(_rows(client, page, records))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(client.limits["maxSeconds"])
    if thread.is_alive():
        client.stop()
        raise client.over("maxSeconds") from None
    if errors:
        raise errors[0]
    return rows


def _pages(client: "_Client", url: str, options: dict[str, str]) -> Iterator[tuple[str, list[Any]]]:
    """Each page's address with its records."""
    return _numbered_pages(client, url) if "page" in options else _linked_pages(client, url)


def _numbered_pages(client: "_Client", url: str) -> Iterator[tuple[str, list[Any]]]:
    """Pages with a number as a parameter, until one is empty."""
    parameter = client.options["page"]
    previous: list[Any] = []
    for number in itertools.count(int(client.options.get("firstPage", "1"))):
        address = _with(url, parameter, str(number))
        records = client.records(client.get(address), address)
        yield address, records
        if not records:
            return
        if records == previous:
            raise client.mistake(
                address,
                f"gives page {number - 1} again; does it know the parameter '{parameter}'?",
            )
        previous = records


def _linked_pages(client: "_Client", url: str) -> Iterator[tuple[str, list[Any]]]:
    """Pages of which each names the next, by its address or a cursor."""
    seen = set()
    address: str | None = url
    while address is not None:
        seen.add(address)
        document = client.get(address)
        yield address, client.records(document, address)
        address = _following(client, address, document, url)
        if address in seen:
            raise client.mistake(address, "is its own next page; the pages would never end")


def _following(client: "_Client", address: str, document: Any, url: str) -> str | None:
    """The address of the next page as this one names it; None after the last."""
    options = client.options
    place = options.get("next") or options.get("cursor")
    given = _at(document, place) if place else None
    if given is None or given == "" or given is False:
        return None
    if "next" in options:
        return client.next_page(address, given)
    return _with(url, options["cursorParameter"], client.cursor(address, given))


def _rows(client: "_Client", page: str, records: list[Any]) -> list[dict[str, Any]]:
    """What records have of the contract; what they have beyond it is not read."""
    rows = []
    contract = client.contract
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise client.mistake(
                page, f"gives a record that is not a JSON object (number {number})"
            )
        if not set(contract.source_names) <= set(record):
            schema.check_names(list(record), contract, f"record {number} of {client.shown(page)}")
        row = {name: record[name] for name in contract.source_names}
        if any(_is_deep(value) for value in row.values()):
            raise client.mistake(page, f"{_DEEP} (record {number})")
        rows.append(row)
    return rows


class _Client(http.Client):
    """Asks for pages."""

    def __init__(self, contract: Contract, options: dict[str, str]) -> None:
        super().__init__(contract, options)
        self._pages = 0

    def get(self, url: str) -> Any:
        """The JSON of the next page."""
        self._pages += 1
        if self._pages > self.limits["maxPages"]:
            raise self.over("maxPages")
        body = self.body(url)
        try:
            return casts.loads(body.decode("utf-8-sig"), strict=True)
        except ValueError as error:
            raise self.mistake(url, f"gives invalid JSON ({error})") from None
        except RecursionError:
            raise self.mistake(url, _DEEP) from None

    def next_page(self, page: str, given: Any) -> str:
        """The address of a next page; one elsewhere would be sent our token."""
        if not isinstance(given, str) or isinstance(given, casts.Number):
            raise self.mistake(page, f"names a next page that must be a text, got {_kind(given)}")
        if len(given) > http.LONGEST_ADDRESS:
            raise self.mistake(page, f"names a next page of {len(given):,} letters")
        try:
            url = urljoin(page, given)
            scheme, host, _ = origin = http.origin(url)
        except ValueError:
            raise self.mistake(page, f"names a next page that is not an address: {given!r:.80}"
                               ) from None  # fmt: skip
        if scheme not in ("http", "https"):
            raise self.mistake(page, f"names a next page that is not an address: {given!r:.80}")
        if origin != self.origin:
            other = host if host != self.origin[1] else f"{scheme}://{urlsplit(url).netloc}"
            raise self.mistake(
                self.options["location"], f"names a next page on another host ({other})"
            )
        return url

    def cursor(self, page: str, given: Any) -> str:
        """A cursor as a parameter."""
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise self.mistake(page, f"gives a cursor that is neither text nor a number but "
                                     f"{_kind(given)}")  # fmt: skip
        text = str(given)
        if len(text) > http.LONGEST_ADDRESS:
            raise self.mistake(page, f"gives a cursor of {len(text):,} letters")
        return text

    def records(self, document: Any, url: str) -> list[Any]:
        """The list of records in a page."""
        place = self.options.get("records", "")
        listed = _at(document, place) if place else document
        if not isinstance(listed, list):
            there = ", ".join(document) if isinstance(document, dict) else "none"
            what = f"no list at '{place}'" if place else "no list"
            raise self.mistake(
                url,
                f"gives {what}; its entries are: {there}",
                f"Correct 'records' in signals/{self.contract.path.name}",
            )
        return listed


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    if isinstance(value, bool):
        return str(value).lower()
    return "an object" if isinstance(value, dict) else (
        "a list" if isinstance(value, list) else f"the number {value!s:.20}")  # fmt: skip


def _with(url: str, name: str, value: str) -> str:
    """The address with a parameter set."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, value)])))


def _is_deep(value: Any) -> bool:
    """Whether a value is nested deeper than polars reads in a reasonable time."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


def _at(document: Any, place: str) -> Any:
    """What stands at a dotted place; None where there is nothing."""
    for name in place.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document
