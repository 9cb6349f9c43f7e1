"""HTTP interfaces that answer in JSON, page by page."""

import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import polars as pl

from runner.signals import casts, checks
from runner.signals.contract import Contract
from runner.signals.readers import columns

RETRIES = 5
BACKOFF = 0.5  # seconds: 0, 1, 2, 4, 8 between tries
LONGEST_WAIT = 300  # seconds, whatever Retry-After says
TIMEOUT = 30.0
CONNECT_TIMEOUT = 10.0
LOGGERS = ("connection", "connectionpool", "poolmanager", "util.retry")  # they show addresses
TRY_AGAIN = (429, 500, 502, 503, 504)


def read(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """The records of all pages; with `since`, only what the interface gives since then."""
    options = contract.server.resolved()
    url = options["location"]
    if since is not None and "since" in options:
        url = _with(url, options["since"], f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    client = _Client(contract, options)
    rows: list[dict[str, Any]] = []
    with _quiet(contract):
        for page, records in _pages(client, url, options):
            rows += _rows(client, page, records)
    found = {name: [row[name] for row in rows] for name in contract.source_names}
    return pl.DataFrame(
        [columns.of_values(name, found[name], contract.source, contract) for name in found]
    )


def _pages(client: "_Client", url: str, options: dict[str, str]) -> Iterator[tuple[str, list[Any]]]:
    """Each page's address with its records."""
    number = int(options.get("firstPage", "1"))
    page = _with(url, options["page"], str(number)) if "page" in options else url
    seen = set()
    before: list[Any] = []
    while True:
        seen.add(page)
        document = client.get(page)
        records = client.records(document, page)
        yield page, records
        if "page" in options:
            if not records:
                return
            if records == before:
                raise client.mistake(page, f"gives page {number - 1} again; does it know the "
                                           f"parameter '{options['page']}'?")  # fmt: skip
            number, before = number + 1, records
            page = _with(url, options["page"], str(number))
        elif "next" in options:
            following = _at(document, options["next"])
            if not following:
                return
            page = urljoin(page, str(following))
            client.check_origin(page)
        elif "cursor" in options:
            following = _at(document, options["cursor"])
            if following is None or following == "":
                return
            page = _with(url, options["cursorParameter"], str(following))
        else:
            return
        if page in seen:
            raise client.mistake(page, "is its own next page; the pages would never end")


def _rows(client: "_Client", page: str, records: list[Any]) -> list[dict[str, Any]]:
    """What records have of the contract; what they have beyond it is not read."""
    rows = []
    contract = client.contract
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise client.mistake(page, f"gives a record that is no object (number {number})")
        if not set(contract.source_names) <= set(record):
            checks.check_names(list(record), contract, f"record {number} of {client.shown(page)}")
        rows.append({name: record[name] for name in contract.source_names})
    return rows


class _Client:
    """Asks for pages; what goes wrong is said with the address, and with no secret."""

    def __init__(self, contract: Contract, options: dict[str, str]) -> None:
        self.contract = contract
        self._options = options
        self._origin = _origin(options["location"])
        self._timeout = float(options.get("timeout", TIMEOUT))
        self._headers = {"Accept": "application/json", "User-Agent": "ml-experiment"}
        header = options.get("tokenHeader", "Authorization")
        if "token" in options:
            self._headers[header] = (
                options["token"] if "tokenHeader" in options else f"Bearer {options['token']}"
            )
        self._secret_headers = (header,)

    def get(self, url: str) -> Any:
        """The JSON at an address."""
        import urllib3

        pool = _pool(url)
        retries = urllib3.Retry(
            total=RETRIES,
            backoff_factor=BACKOFF,
            status_forcelist=TRY_AGAIN,
            raise_on_status=False,
            retry_after_max=LONGEST_WAIT,
            remove_headers_on_redirect=self._secret_headers,
        )
        timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, self._timeout), read=self._timeout)
        try:
            answer = pool.request(
                "GET", url, headers=self._headers, retries=retries, timeout=timeout
            )
        except urllib3.exceptions.HTTPError as error:
            raise self.mistake(url, self._reason(error)) from None
        if answer.status != 200:
            raise self._refusal(url, answer.status)
        try:
            return casts.loads(answer.data.decode("utf-8-sig"), strict=True)
        except ValueError as error:
            raise self.mistake(url, f"gives no JSON ({error})") from None

    def records(self, document: Any, url: str) -> list[Any]:
        """The list of records in a page."""
        place = self._options.get("records", "")
        found = _at(document, place) if place else document
        if not isinstance(found, list):
            there = ", ".join(document) if isinstance(document, dict) else "none"
            what = f"no list at '{place}'" if place else "no list"
            raise self.mistake(
                url,
                f"gives {what}; its entries are: {there}",
                f"Correct 'records' in signals/{self.contract.path.name}",
            )
        return found

    def check_origin(self, url: str) -> None:
        """A next page elsewhere would be sent our token."""
        if _origin(url) != self._origin:
            raise self.mistake(
                self._options["location"],
                f"names a next page on another host ({urlsplit(url).hostname})",
            )

    def shown(self, url: str) -> str:
        """An address without secrets."""
        return self.contract.server.hide(url)

    def mistake(self, url: str, what: str, then: str = "") -> Exception:
        """The error that names an address."""
        return self.contract.mistake(f"{self.shown(url)} {what}", then)

    def _refusal(self, url: str, status: int) -> Exception:
        if status in (401, 403):
            then = f"Check the token; ask {self.contract.owner} ({self.contract.contact})"
            return self.mistake(url, f"refuses access (HTTP {status})", then)
        tries = f", also after {RETRIES} more tries" if status in TRY_AGAIN else ""
        return self.mistake(url, f"answers HTTP {status}{tries}")

    def _reason(self, error: Exception) -> str:
        from urllib3 import exceptions

        reason = getattr(error, "reason", None) or error
        # first what else counts as a timeout there
        if isinstance(reason, exceptions.NameResolutionError):
            return "has a host name that nobody knows"
        if isinstance(reason, exceptions.NewConnectionError):
            return "cannot be reached"
        if isinstance(reason, exceptions.TimeoutError):
            return f"does not answer within {self._timeout:g} s, also after {RETRIES} more tries"
        if isinstance(reason, exceptions.ProtocolError | exceptions.IncompleteRead):
            return "breaks off within a page"
        said = str(reason).partition("\n")[0]
        return f"cannot be read ({type(reason).__name__}: {self.contract.server.hide(said)})"


def _pool(url: str) -> Any:
    """Connections, through the proxy that the environment names."""
    from urllib.request import getproxies, proxy_bypass

    import urllib3

    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _with(url: str, name: str, value: str) -> str:
    """The address with a parameter set."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, value)])))


def _at(document: Any, place: str) -> Any:
    """What stands at a dotted place; None where there is nothing."""
    for name in place.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


@contextlib.contextmanager
def _quiet(contract: Contract) -> Iterator[None]:
    """Masks secrets in what urllib3 logs: it shows whole addresses."""

    def mask(record: logging.LogRecord) -> bool:
        record.msg, record.args = contract.server.hide(record.getMessage()), ()
        return True

    loggers = [logging.getLogger(f"urllib3.{name}") for name in LOGGERS]
    for logger in loggers:
        logger.addFilter(mask)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(mask)
