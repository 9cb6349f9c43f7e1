"""Secrets in addresses: passwords, tokens and secret parameters, known by their position."""

import re

from ml_experiment_runner.project.secrets.names import is_secret_parameter

MASK = "***"

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]{0,30}://[^\s\"'<>]+")
_LOGIN = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]{0,30})://(?P<user>[^/@\s:\"'<>\[?#]*)"
    # up to the last @ before a slash; else a slash is the password's, unless the rest is a port's
    r"(?::(?P<password>[^/?#\s\"'<>]*|(?!\d{1,5}[/?#])(?:(?!://)[^@\s\"'<>])+))?@"
)
_PARAMETER = re.compile(r"(?<=[?&;])(?P<name>[A-Za-z_][\w.-]*)=(?P<value>[^&;#\s\"'<>]+)")
_PASSWORDS_OF_TOKENS = ("", "x-oauth-basic")
"""Passwords of logins whose user is a token."""


def mask_addresses(text: str) -> str:
    """The text with the password, token and secret parameters of every address masked."""
    return _ADDRESS.sub(_masked_address, text) if "://" in text else text


def without_logins(text: str) -> str:
    """The text without users and passwords in its addresses."""
    return _LOGIN.sub(r"\g<scheme>://", text)


def secrets_of_address(text: str) -> list[str]:
    """The passwords, tokens and secret parameters of all addresses in a text, still quoted.

    In HTTP, a user without a password is a token.
    """
    secrets = []
    for address in _ADDRESS.findall(text):
        for login in _LOGIN.finditer(address):
            if login["password"] and login["password"] not in _PASSWORDS_OF_TOKENS:
                secrets.append(login["password"])
            if login["user"] and _is_token(login):
                secrets.append(login["user"])
        secrets += [
            parameter["value"]
            for parameter in _PARAMETER.finditer(address)
            if is_secret_parameter(parameter["name"])
        ]
    return secrets


def _is_token(login: re.Match[str]) -> bool:
    """Whether the user of a login is a token."""
    is_http = login["scheme"].lower().rpartition("+")[2] in ("http", "https")
    return is_http and (login["password"] or "") in _PASSWORDS_OF_TOKENS


def _masked_address(address: re.Match[str]) -> str:
    return _PARAMETER.sub(_masked_parameter, _LOGIN.sub(_masked_login, address[0]))


def _masked_login(login: re.Match[str]) -> str:
    user = MASK if login["user"] and _is_token(login) else login["user"]
    password = f":{MASK}" if login["password"] else "" if login["password"] is None else ":"
    return f"{login['scheme']}://{user}{password}@"


def _masked_parameter(parameter: re.Match[str]) -> str:
    if not is_secret_parameter(parameter["name"]) or parameter["value"].startswith("$"):
        return parameter[0]
    return f"{parameter['name']}={MASK}"
