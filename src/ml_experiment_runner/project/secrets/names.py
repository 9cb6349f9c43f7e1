"""Which names belong to a secret: of keys, variables, and parameters of an address."""

import re
from itertools import pairwise

_SECRET_NAMES = (
    *("password", "passwd", "passphrase", "passcode", "pwd", "token", "secret", "credential"),
    *("bearer", "cookie", "jwt", "dsn", "apikey", "accesskey", "privatekey", "secretkey"),
    *("accountkey", "authkey", "masterkey", "signingkey", "encryptionkey", "sharedkey"),
    *("subscriptionkey", "connectionstring", "connectionstr", "connstring", "connstr"),
    *("secrets", "passwords", "credentials", "apikeys", "accesskeys"),
)
_SECRET_WORDS = ("auth", "authorization", "pass")
_PROPERTIES = (
    *("class", "column", "columns", "count", "days", "dir", "enabled", "endpoint", "expires"),
    *("expiry", "field", "fields", "file", "folder", "format", "header", "headers", "host"),
    *("hours", "id", "ids", "index", "kind", "length", "limit", "max", "method", "min", "mode"),
    *("name", "names", "param", "parameter", "path", "pattern", "policy", "port", "position"),
    *("provider", "ratio", "regex", "required", "scheme", "seconds", "size", "sock", "timeout"),
    *("ttl", "type", "uri", "url"),
)
"""Last words of names whose value describes a secret without being one: `token_pattern`."""
_NOT_SECRET = (
    *("database", "dbname", "driver", "email", "engine", "host", "hostname", "login", "name"),
    *("port", "region", "schema", "server", "type", "uri", "url", "user", "username"),
)
"""Last words of names beside a secret in the same settings."""
_SECRET_PARAMETERS = {"key", "sig", "signature", "appid", "accesskey", "userkey"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def _words(name: str) -> list[str]:
    """The words of a name in camel case, snake case or kebab case."""
    return [word.lower() for word in _WORD.findall(name)]


def is_secret_name(name: str) -> bool:
    """Whether a key or a property is named like a secret, such as `authToken` or `api_key`."""
    words = _words(name)
    if not words or words[-1] in _PROPERTIES:
        return False
    pairs = (first + second for first, second in pairwise(words))
    return any(word.endswith(_SECRET_NAMES) for word in (*words, *pairs)) or any(
        word in _SECRET_WORDS for word in words
    )


def is_secret_variable(name: str) -> bool:
    """Whether an environment variable is named like a secret; any `…KEY` is one there."""
    return is_secret_name(name) or name.lower().endswith("key")


def is_secret_parameter(name: str) -> bool:
    """Whether a parameter of an address is named like a secret, such as `code` or `sig`."""
    is_key = bool(_SECRET_PARAMETERS.intersection(_words(name)))
    return is_secret_name(name) or is_key or name.lower() == "code"


def is_public_name(name: str) -> bool:
    """Whether a key holds no secret, even in settings that are one, such as `host` or `user`."""
    words = _words(name)
    return bool(words) and words[-1] in _NOT_SECRET and not is_secret_name(name)
