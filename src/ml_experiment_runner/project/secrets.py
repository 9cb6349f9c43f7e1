"""The secrets that this process has seen, and their masks: the one place that knows them.

Whatever reads a secret registers its value, and whatever writes masks its texts: by value, however
it is escaped, and by place in addresses, whose parts say which of them is a secret.
"""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, count, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ml_experiment_runner.project.escapes import escapes
from ml_experiment_runner.project.structured import decoded, is_flow, settings, unwrapped

MASK = "***"

PRIVATE = "RUNNER_PRIVATE"
"""The variable that hands the names of private variables on, with a `=` between two of them.

Other processes inherit the values of `.env`, but not all of them find the file.
"""

SHORTEST = 4
"""Characters; a shorter secret is masked where it is the whole of a text."""
_LINE = 16  # characters; a shorter line of a secret is no secret by itself

_NAMES = (
    *("password", "passwd", "passphrase", "passcode", "pwd", "token", "secret", "credential"),
    *("bearer", "cookie", "jwt", "dsn", "apikey", "accesskey", "privatekey", "secretkey"),
    *("accountkey", "authkey", "masterkey", "signingkey", "encryptionkey", "sharedkey"),
    *("subscriptionkey", "connectionstring", "connectionstr", "connstring", "connstr"),
    *("secrets", "passwords", "credentials", "apikeys", "accesskeys"),
)
_WHOLE_NAMES = ("auth", "authorization", "pass")
_ABOUT = (
    *("class", "column", "columns", "count", "days", "dir", "enabled", "endpoint", "expires"),
    *("expiry", "field", "fields", "file", "folder", "format", "header", "headers", "host"),
    *("hours", "id", "ids", "index", "kind", "length", "limit", "max", "method", "min", "mode"),
    *("name", "names", "param", "parameter", "path", "pattern", "policy", "port", "position"),
    *("provider", "ratio", "regex", "required", "scheme", "seconds", "size", "sock", "timeout"),
    *("ttl", "type", "uri", "url"),
)
"""What a secret's name is followed by where the value says something about it: `token_pattern`."""
_BESIDE = (
    *("database", "dbname", "driver", "email", "engine", "host", "hostname", "login", "name"),
    *("port", "region", "schema", "server", "type", "uri", "url", "user", "username"),
)
"""What stands beside a secret in settings and is none, whatever the settings are called."""

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_USUAL = (
    *("true", "false", "none", "null", "yes", "no", "on", "off", "auto", "default", "test"),
    *("debug", "info", "warning", "error", "production", "staging", "development", "local"),
    *("localhost", "bearer", "basic"),
)
_NUMBER = re.compile(r"[-+]?[\d.,:]{1,5}")
_WORDS = re.compile(
    r"(?=.{1,30}\Z)[A-Za-z]{1,16}\d{0,3}(?:[-_. /](?:[A-Za-z]{1,16}\d{0,3}|\d{1,3}))*"
)
"""Words, as places and people are called: in a variable that is no secret's, no secret either."""

_PIECES = re.compile(r"[^\s\[\]{},:\"']{8,}")
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]{0,30}://[^\s\"'<>]+")
_LOGIN = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]{0,30})://(?P<user>[^/@\s:\"'<>\[?#]*)"
    # up to the last @ before a slash; else a slash is the password's, unless the rest is a port's
    r"(?::(?P<password>[^/?#\s\"'<>]*|(?!\d{1,5}[/?#])(?:(?!://)[^@\s\"'<>])+))?@"
)
_QUERY = re.compile(r"(?<=[?&;])(?P<name>[A-Za-z_][\w.-]*)=(?P<value>[^&;#\s\"'<>]+)")
_HEAD = 8192  # bytes in which a file that is no text shows it
_AT_ONCE = 16 * 1024 * 1024  # bytes; a larger file is masked line by line
_ASSIGNED = re.compile(
    r"(?P<before>(?P<name>[A-Za-z][\w.-]{0,60})[\"']?\s*(?::|=)\s*)"
    r"(?:(?P<quote>[\"'])(?P<quoted>[^\"']*)(?P=quote)|(?P<bare>[^\s\"',;(){}\[\]#]+))"
)
_NOTHING = 0, re.compile(r"(?!)")
_TOKEN_PASSWORDS = ("", "x-oauth-basic")
"""What stands as the password where the user is a token."""


class Secrets:
    """Values, and the texts in which they are masked.

    Values may be added at any time, from any thread.
    """

    def __init__(self) -> None:
        self._anywhere: set[str] = set()
        self._whole: set[str] = set()
        # with the number of values in it: what another thread adds meanwhile makes it an old one
        self._compiled = _NOTHING

    def add(self, value: str, is_secret: bool | None = True) -> None:
        """Add a value with its parts: an address's logins, and what code would read of settings.

        Args:
            value: As it was read.
            is_secret: Whether it is called one; of any other, words are masked only as a whole.
                None adds the parts alone.
        """
        left = [(value, is_secret)]
        while left:
            part, is_secret = left.pop()
            if is_secret is not None:
                self._add(part, is_secret)
            self.add_addresses(part)
            left += _parts(part, bool(is_secret))

    def add_addresses(self, text: str) -> None:
        """Add the logins of the addresses in a text, and nothing else of it."""
        for part in _of_addresses(text):
            self._add(part, is_secret=True)

    def mask(self, text: str) -> str:
        """The text without the values, in any form."""
        return MASK if self._whole and text.strip() in self._whole else self.mask_name(text)

    def mask_name(self, text: str) -> str:
        """The same of a name or a line: a word that is masked as a whole text stays in it."""
        if self._anywhere:
            size, pattern = self._compiled
            if size != len(self._anywhere):
                pattern = self._compile()
            text = pattern.sub(MASK, text)
        return text

    def clear(self) -> None:
        """Forget all values."""
        self._anywhere.clear()
        self._whole.clear()
        self._compiled = _NOTHING

    def _add(self, value: str, is_secret: bool) -> None:
        value = value.strip()
        if not value or value in self._anywhere or _is_usual(value):
            return
        if len(value) < SHORTEST or (not is_secret and _WORDS.fullmatch(value)):
            self._whole.add(value)
            return
        self._anywhere.add(value)

    def _compile(self) -> re.Pattern[str]:
        values = sorted(self._anywhere, key=len, reverse=True)
        pattern = re.compile("|".join(form for value in values for form in escapes(value)))
        self._compiled = len(values), pattern
        return pattern


_secrets = Secrets()


def register(value: str, name: str = "") -> None:
    """Have a value masked from now on, wherever this process writes.

    Numbers, usual words and paths of this machine are no secrets and stay as they are.

    Args:
        value: As it was read.
        name: Of its variable or option. Where it is not a secret's, words are masked only where
            they are the whole of a text.
    """
    _secrets.add(value, not name or is_secret_variable(name))


def register_addresses(node: Any) -> None:
    """Have the logins of the addresses in a text, or within lists and dicts, masked from now on."""
    if isinstance(node, str):
        _secrets.add_addresses(node)
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            register_addresses(value)


def register_environment() -> None:
    """Have variables masked that are called secrets or private, and any other's addresses' logins.

    Private are those whose names stand in the variable `PRIVATE`, such as those of `.env`.
    """
    private = os.environ.get(PRIVATE, "").split("=")
    for name, value in os.environ.items():
        register_addresses(value)
        if is_secret_variable(name):
            register(value, name)
        elif name in private:
            _secrets.add(value, None if "://" in value else False)


def watch_resolver() -> None:
    """Have each value masked that a configuration takes by `oc.env`, however that is spelled."""
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    missing: Any = object()

    def env(key: str, default: Any = missing) -> str | None:
        value = oc.env(key) if default is missing else oc.env(key, default)
        # a default stands in a file, so it is a secret only where it is called one
        if value is not None and (key in os.environ or is_secret_variable(key)):
            register(value, key)
        return value

    OmegaConf.register_new_resolver("oc.env", env, replace=True)


def clear() -> None:
    """Forget all registered values; for tests."""
    _secrets.clear()


def mask(text: str) -> str:
    """The text without registered values, in any form, and without secrets in its addresses."""
    return mask_addresses(_secrets.mask(text))


def mask_name(text: str) -> str:
    """The same of a name or a line: a word that is masked as a whole text stays in it."""
    return mask_addresses(_secrets.mask_name(text))


def mask_within(node: Any) -> Any:
    """The same of every text inside lists and dicts, keys included."""
    if isinstance(node, str):
        return mask(node)
    if isinstance(node, dict):
        return {key: mask_within(value) for key, value in mask_keys(node).items()}
    if isinstance(node, list | tuple):
        return [mask_within(value) for value in node]
    return node


def mask_keys(node: Mapping[Any, Any]) -> dict[Any, Any]:
    """The same entries, their names without secrets; those that would become one are numbered."""
    names = {key: mask_name(key) if isinstance(key, str) else key for key in node}
    taken = {key for key, name in names.items() if key == name}
    for key, name in names.items():
        if key != name:
            tried = chain([name], (f"{name} ({number})" for number in count(2)))
            names[key] = next(each for each in tried if each not in taken)
            taken.add(names[key])
    return {names[key]: value for key, value in node.items()}


def mask_addresses(text: str) -> str:
    """The text with the password, token and secret parameters of every address masked."""
    return _ADDRESS.sub(_masked_address, text) if "://" in text else text


def without_logins(text: str) -> str:
    """The text without users and passwords in its addresses."""
    return _LOGIN.sub(r"\g<scheme>://", text)


def mask_file(path: Path) -> None:
    """Mask a text file where it lies; any other would be broken and stays."""
    if path.stat().st_size <= _AT_ONCE:
        data = path.read_bytes()
        if b"\0" not in data[:_HEAD] and (masked := mask_bytes(data)) != data:
            path.write_bytes(masked)
        return
    with path.open("rb") as file:
        if b"\0" in file.read(_HEAD):
            return
        file.seek(0)
        if all(mask_bytes(line) == line for line in file):
            return
        file.seek(0)
        draft = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
        try:
            with draft.open("wb") as copy:
                copy.writelines(map(mask_bytes, file))
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise


def mask_bytes(data: bytes) -> bytes:
    """The same of a text in bytes, whatever their encoding."""
    return mask(str(data, errors="surrogateescape")).encode(errors="surrogateescape")


def mask_patch(patch: bytes) -> tuple[bytes, list[str]]:
    """A patch as git writes it, and the files of which a line was masked.

    In lines that are new, what is assigned to a secret's name is masked too: a literal in quotes,
    and outside of Python files, without them. That is a guess, and any other line is in git as it
    is: masked, it would keep the patch from being applied.
    """
    lines = patch.decode(errors="surrogateescape").split("\n")
    files: dict[str, None] = {}
    file = ""
    is_body = False
    for number, line in enumerate(lines):
        if line.startswith("diff --git "):
            file, is_body = line.rpartition(" b/")[2].rstrip('"'), False
        elif line.startswith("@@ "):
            is_body = True
        elif not is_body:  # names of files, and what is binary
            continue
        masked = line[:1] + mask_name(line[1:])  # the first character is the patch's own
        if is_body and line.startswith("+"):
            masked = _ASSIGNED.sub(partial(_masked_assignment, file.endswith(".py")), masked)
        if masked != line:
            lines[number] = masked
            files[file] = None
    return "\n".join(lines).encode(errors="surrogateescape"), list(files)


def _masked_assignment(is_python: bool, found: re.Match[str]) -> str:
    value = found["quoted"] or found["bare"]
    if not is_secret_name(found["name"]) or (is_python and not found["quoted"]):
        return found[0]
    if len(value) < SHORTEST or value.startswith(("$", MASK)) or _is_usual(value):
        return found[0]
    return found["before"] + found[0][len(found["before"]) :].replace(value, MASK)


def is_secret_name(name: str) -> bool:
    """Whether a key or a property is called as secrets are, such as `authToken` or `api_key`."""
    words = [word.lower() for word in _PARTS.findall(name)]
    if not words or words[-1] in _ABOUT:
        return False
    pairs = (first + second for first, second in pairwise(words))
    return any(word.endswith(_NAMES) for word in (*words, *pairs)) or any(
        word in _WHOLE_NAMES for word in words
    )


def is_secret_variable(name: str) -> bool:
    """Whether an environment variable is: there, a `KEY` is one too."""
    return is_secret_name(name) or name.lower().endswith("key")


def is_secret_parameter(name: str) -> bool:
    """Whether a parameter of an address is, such as `code` or `sig`."""
    words = {word.lower() for word in _PARTS.findall(name)}
    keys = words & {"key", "sig", "signature", "appid", "accesskey", "userkey"}
    return is_secret_name(name) or bool(keys) or name.lower() == "code"


def secrets_of_address(text: str) -> list[str]:
    """The passwords, tokens and secret parameters of the addresses in a text, as they stand there.

    A user without a password is a token in HTTP, where it would have no use else.
    """
    found = []
    for address in _ADDRESS.findall(text):
        for login in _LOGIN.finditer(address):
            if login["password"] and login["password"] not in _TOKEN_PASSWORDS:
                found.append(login["password"])
            if login["user"] and _is_token(login):
                found.append(login["user"])
        found += [
            part["value"] for part in _QUERY.finditer(address) if is_secret_parameter(part["name"])
        ]
    return found


def _parts(value: str, is_secret: bool) -> Iterator[tuple[str, bool | None]]:
    """What code would read of a value, and whether it is a secret; None where it is none itself."""
    if (inner := unwrapped(value)) != value:
        yield inner, is_secret
        return
    if (node := decoded(value)) is not None:
        yield from _strings(node, is_secret)
    elif is_flow(value):  # what `oc.decode` may take
        yield from ((piece, False) for piece in _PIECES.findall(value))
    if is_flow(value):
        return
    yield from ((each, True) for name, each in settings(value) if is_secret_name(name))
    lines = [line.strip() for line in value.splitlines()]
    # of a key in lines, each may be printed by itself
    longer = [line for line in lines if len(line) >= _LINE and not line.startswith("---")]
    yield from ((line, is_secret) for line in longer if len(lines) > 1)


def _strings(node: Any, is_secret: bool) -> Iterator[tuple[str, bool | None]]:
    """The values within lists and mappings, and whether each is a secret.

    Where keys say which is one, the others are none; else all are what the whole is called.
    """
    left = [("", node, is_secret)]
    while left:
        name, node, is_secret = left.pop()
        if isinstance(node, dict):
            entries = [_entry(str(key), each) for key, each in node.items()]
            is_told = any(is_secret_name(key) for key, _ in entries)
            left += [
                (key, each, is_secret_name(key) or (is_secret and not is_told))
                for key, each in entries
            ]
        elif isinstance(node, list):
            left += [(name, each, is_secret) for each in node]
        elif isinstance(node, str):
            words = [word.lower() for word in _PARTS.findall(name)]
            is_beside = bool(words) and words[-1] in _BESIDE and not is_secret_name(name)
            is_open = is_beside or (not is_secret and "://" in node)
            yield node, None if is_open else is_secret
        elif is_secret and isinstance(node, int | float):
            yield str(node), True


def _entry(key: str, value: Any) -> tuple[str, Any]:
    """Of a mapping; OmegaConf takes `{key:value}` where YAML wants a space."""
    name, is_there, rest = key.partition(":")
    return (name, rest) if is_there and not value else (key, value)


def _of_addresses(value: str) -> set[str]:
    """What of the addresses in a value is to be registered."""
    if "://" not in value:
        return set()
    found = {form for part in secrets_of_address(value) for form in (part, unquote(part))}
    # where a password holds a slash, libraries show what stands before it as the port
    pieces = {piece for part in found for piece in re.split(r"[/?#@]", part)}
    found |= {piece for piece in pieces if len(piece) >= SHORTEST}
    return found - {MASK}


def _is_token(login: re.Match[str]) -> bool:
    is_http = login["scheme"].lower().rpartition("+")[2] in ("http", "https")
    return is_http and (login["password"] or "") in _TOKEN_PASSWORDS


def _masked_address(found: re.Match[str]) -> str:
    def login(part: re.Match[str]) -> str:
        user = MASK if part["user"] and _is_token(part) else part["user"]
        password = f":{MASK}" if part["password"] else "" if part["password"] is None else ":"
        return f"{part['scheme']}://{user}{password}@"

    def parameter(part: re.Match[str]) -> str:
        is_open = not is_secret_parameter(part["name"]) or part["value"].startswith("$")
        return part[0] if is_open else f"{part['name']}={MASK}"

    return _QUERY.sub(parameter, _LOGIN.sub(login, found[0]))


def _is_usual(value: str) -> bool:
    """Whether a text turns up everywhere, so that without it a record could not be read."""
    if value.lower() in _USUAL or _NUMBER.fullmatch(value) or value in _places():
        return True
    path = Path(value)
    # a path of this machine, by its first folder: the last may not be there yet
    return path.is_absolute() and len(path.parts) > 1 and Path(*path.parts[:2]).is_dir()


def _places() -> set[str]:
    """Names of this machine, of who works at it, and of the folders that lead here."""
    people = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME")}
    homes = [os.environ.get(name, "") for name in ("HOME", "USERPROFILE")]
    folders = {part for folder in (__file__, *homes) for part in Path(folder).parts}
    return people | folders | {socket.gethostname(), socket.gethostname().partition(".")[0]}
