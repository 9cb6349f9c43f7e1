"""Asks HTTP servers, within bounds: nothing that they answer is more than one line for a person."""

import contextlib
import http.client
import logging
import re
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ml_experiment_runner.signals.contract.contract import Contract

RETRIES = 5
BACKOFF = 0.5  # seconds: 0, 1, 2, 4, 8 between tries
LONGEST_WAIT = 300  # seconds, whatever Retry-After says
TIMEOUT = 30.0
CONNECT_TIMEOUT = 10.0
LOGGERS = ("connection", "connectionpool", "poolmanager", "util.retry")  # they show addresses
TRY_AGAIN = (429, 500, 502, 503, 504)
REDIRECTS = 5
LONGEST_ADDRESS = 8000  # characters, more than servers take
LIMITS = {"maxPages": 100_000, "maxBytes": 2_000_000_000, "maxSeconds": 3600}
"""What no honest interface reaches; a contract may set its own."""

PORTS = {"http": 80, "https": 443}

_SHOWN = 300  # characters of an address
_CHUNK = 2**16
_UNIT = {"maxPages": "pages", "maxBytes": "bytes", "maxSeconds": "seconds"}


class Client:
    """Requests pages; errors name the address and no secret.

    Attributes:
        contract: Whose signal it is.
        limits: `maxPages`, `maxBytes` and `maxSeconds`.
        options: Of the server, with the values of its variables.
        origin: Scheme, host and port that it may ask.
    """

    def __init__(self, contract: Contract, options: dict[str, str]) -> None:
        self.contract = contract
        self.limits = {name: int(options.get(name, usual)) for name, usual in LIMITS.items()}
        self.limits["maxSeconds"] = min(self.limits["maxSeconds"], int(threading.TIMEOUT_MAX))
        self._end = time.monotonic() + self.limits["maxSeconds"]
        self._received = 0
        self.options = options
        self._timeout = min(float(options.get("timeout", TIMEOUT)), self.limits["maxSeconds"])
        self._headers = {"Accept": "application/json", "User-Agent": "ml-experiment"}
        header = options.get("tokenHeader", "Authorization")
        if "token" in options:
            self._headers[header] = (
                options["token"] if "tokenHeader" in options else f"Bearer {options['token']}"
            )
        self._secret_headers = (header,)
        self._check_options(header)
        self._pool = _pool(options["location"])
        self._answer: Any = None

    def _check_options(self, header: str) -> None:
        """What HTTP cannot carry is found by its libraries too, which show it: it is a secret."""
        url, token = self.options["location"], self.options.get("token", "")
        if not re.fullmatch(r"[!#$%&'*+.^_`|~\w-]+", header, re.ASCII):
            raise self._setting(f"tokenHeader '{header}' is not the name of a header")
        if not re.fullmatch(r"[\x20-\x7e\xa0-\xff]*", token):
            raise self._setting("the token holds a line break or another letter that no header "
                                "may hold; set its variable again")  # fmt: skip
        if re.search(r"[\x00-\x20\x7f]", url):
            raise self._setting("the location holds a space or a line break; correct it, or the "
                                "variables in it")  # fmt: skip
        try:
            self.origin = origin(url)
        except ValueError as error:
            raise self._setting(f"the location is not a valid address ({error})") from None
        if not self.origin[1]:
            raise self._setting("the location must name a host")

    def _setting(self, what: str) -> Exception:
        return self.contract.mistake(what, f"See servers in signals/{self.contract.path.name}")

    def body(self, url: str) -> bytes:
        """What an address answers; asked again where that may help."""
        from urllib3 import exceptions

        for attempt in range(RETRIES + 1):
            is_last = attempt == RETRIES
            wait = BACKOFF * 2**attempt if attempt else 0.0
            try:
                status, body, asked = self._request(url)
            except exceptions.HTTPError as error:
                if is_last or not _may_recover(error):
                    raise self.mistake(url, self._reason(error)) from None
            except (http.client.HTTPException, OSError, ValueError, OverflowError) as error:
                # its text may show the header with the token
                raise self.mistake(url, f"cannot be requested ({type(error).__name__})") from None
            else:
                if status == 200:
                    return body
                if is_last or status not in TRY_AGAIN:
                    raise self._refusal(url, status)
                wait = min(asked, LONGEST_WAIT) or wait
            self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _request(self, url: str) -> tuple[int, bytes, float]:
        """Status, body, and in how many seconds to come again."""
        import urllib3

        # errors and statuses are tried again by `body`, which reads the body too
        retries = urllib3.Retry(
            total=None,
            connect=0,
            read=0,
            status=0,
            other=0,
            redirect=REDIRECTS,
            respect_retry_after_header=False,
            remove_headers_on_redirect=self._secret_headers,
        )
        timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, self._timeout), read=self._timeout)
        answer = self._answer = self._pool.request(
            "GET",
            url,
            headers=self._headers,
            retries=retries,
            timeout=timeout,
            preload_content=False,
        )
        try:
            if answer.status != 200:
                return answer.status, b"", _retry_after(answer)
            parts = []
            for part in answer.stream(_CHUNK):
                self._received += len(part)
                if self._received > self.limits["maxBytes"]:
                    raise self.over("maxBytes")
                self._check_time()
                parts.append(part)
            return 200, b"".join(parts), 0.0
        finally:
            answer.close()  # what is left of the body may be without end

    def stop(self) -> None:
        """Ends, from another thread, what is being read."""
        self._end = 0.0
        if self._answer is not None:
            with contextlib.suppress(Exception):  # it may have ended by itself
                self._answer.shutdown()

    def over(self, limit: str) -> Exception:
        """The error that a limit is reached."""
        most = f"{self.limits[limit]:,} {_UNIT[limit]}"
        return self.mistake(
            self.options["location"],
            f"exceeds its limit of {most}, so nothing of it was used",
            f"If that is right, raise '{limit}' in signals/{self.contract.path.name}",
        )

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            raise self.over("maxSeconds")

    def _sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, min(seconds, self._end - time.monotonic())))
        self._check_time()

    def shown(self, url: str) -> str:
        """An address without secrets."""
        text = self.contract.source_configuration.hide(url)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

    def mistake(self, url: str, what: str, then: str = "") -> Exception:
        """The error that names an address."""
        return self.contract.mistake(f"{self.shown(url)} {what}", then)

    def _refusal(self, url: str, status: int) -> Exception:
        if status in (401, 403):
            then = f"Check the token; ask {self.contract.owner_and_contact}"
            return self.mistake(url, f"refuses access (HTTP {status})", then)
        tries = f", also after {RETRIES} more tries" if status in TRY_AGAIN else ""
        return self.mistake(url, f"answers HTTP {status}{tries}")

    def _reason(self, error: Exception) -> str:
        from urllib3 import exceptions

        reason = getattr(error, "reason", None) or error
        # first what else counts as a timeout there
        if isinstance(reason, exceptions.NameResolutionError):
            return "has an unknown host name"
        if isinstance(reason, exceptions.NewConnectionError):
            return "cannot be reached"
        if isinstance(reason, exceptions.TimeoutError):
            return f"does not answer within {self._timeout:g} s, also after {RETRIES} more tries"
        if isinstance(reason, exceptions.ProtocolError | exceptions.IncompleteRead):
            return "breaks off within a page"
        message = self.contract.source_configuration.hide(str(reason).partition("\n")[0])
        return f"cannot be read ({type(reason).__name__}: {message})"


def _pool(url: str) -> Any:
    """Connections, through the proxy that the environment names."""
    from urllib.request import getproxies, proxy_bypass

    import urllib3

    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()


def _may_recover(error: Exception) -> bool:
    """Whether to ask again: not where the server has answered, and wrongly."""
    from urllib3 import exceptions

    reason = getattr(error, "reason", None) or error
    return isinstance(
        reason,
        exceptions.ProtocolError
        | exceptions.IncompleteRead
        | exceptions.TimeoutError
        | exceptions.NewConnectionError
        | exceptions.ProxyError
        | exceptions.SSLError,
    )


def _retry_after(answer: Any) -> float:
    """In how many seconds a server wants to be asked again; 0 where it does not say so."""
    import urllib3

    try:
        return urllib3.Retry().get_retry_after(answer) or 0.0
    except (urllib3.exceptions.HTTPError, ValueError, OverflowError):
        return 0.0


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port.

    Raises:
        ValueError: It is not a valid address.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme)


@contextlib.contextmanager
def quiet(contract: Contract) -> Iterator[None]:
    """Masks secrets in what urllib3 logs: it shows whole addresses."""

    def mask(record: logging.LogRecord) -> bool:
        record.msg, record.args = contract.source_configuration.hide(record.getMessage()), ()
        return True

    loggers = [logging.getLogger(f"urllib3.{name}") for name in LOGGERS]
    for logger in loggers:
        logger.addFilter(mask)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(mask)
