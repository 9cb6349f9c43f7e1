"""Who owns a signal, and how to reach them, by what its contract says of people."""

from collections.abc import Mapping

from ml_experiment_runner.signals.contract.contract import UNKNOWN
from ml_experiment_runner.signals.odcs.yaml_document import Entry

ROLES = ("owner", "data owner", "product owner", "data product owner", "steward", "data steward")
"""Roles of those who answer for data, the likeliest first."""


def people(team: Entry | None, support: Entry | None) -> tuple[str, str]:
    """The owner and the way to reach them; `unknown` where nobody is named."""
    members = _members(team)
    member = _owner(members)
    name = team.find("name") if team else None
    channel = _channel(support)
    owner = _first(name) or _first(member.get("name"), member.get("username"))
    contact = _first(channel.get("url"), channel.get("channel"))
    owner = owner or _first(channel.get("channel"))
    contact = contact or _first(member.get("username"))
    return owner or UNKNOWN, contact.removeprefix("mailto:") or UNKNOWN


def _members(team: Entry | None) -> list[Mapping[str, Entry]]:
    """The members of a team, or of the list of members that v3.0 has instead."""
    listed = team if team is None or team.is_list else team.find("members")
    return [member.entries() for member in listed.items()] if listed and listed.is_list else []


def _owner(members: list[Mapping[str, Entry]]) -> Mapping[str, Entry]:
    """The member who answers for the data and has not left."""
    present = [member for member in members if not _first(member.get("dateOut"))]
    for role in ROLES:
        for member in present:
            if _first(member.get("role")).casefold() == role:
                return member
    return {}


def _channel(support: Entry | None) -> Mapping[str, Entry]:
    channels = support.items() if support and support.is_list else []
    return channels[0].entries() if channels else {}


def _first(*entries: Entry | None) -> str:
    return next((entry.raw for entry in entries if entry and entry.raw), "")
