"""A YAML document whose entries know their line, so that a mistake is named where it stands.

Only the tree comes from the YAML library; what a scalar means follows from where it is expected.
So `NO` stays a text and `1_000` is no number, as YAML 1.2 has it.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from runner.config import nearest
from runner.errors import UserError

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Entry:
    """A value in a YAML file.

    Attributes:
        name: The key or list position that it stands at, such as `schema[0].properties[3].name`.
    """

    def __init__(self, node: yaml.Node, path: Path, name: str) -> None:
        self.name = name
        self._node = node
        self._path = path

    def mistake(self, message: str) -> UserError:
        """The error that names this entry's file and line."""
        folder = self._path.parent
        line = self._node.start_mark.line + 1
        return UserError(f"{folder.name}/{self._path.name}:{line}: {message}")

    def mapping(self, known: Iterable[str], required: Iterable[str] = ()) -> dict[str, "Entry"]:
        """The entries by key.

        Raises:
            UserError: A key is unknown, stands twice or is missing.
        """
        if not isinstance(self._node, yaml.MappingNode):
            raise self.mistake(f"{self.name} must hold keys and values, such as `{min(known)}: …`")
        entries: dict[str, Entry] = {}
        for key, value in self._node.value:
            entry = Entry(value, self._path, f"{self.name}.{key.value}".lstrip("."))
            if key.value not in known:
                place = Entry(key, self._path, entry.name)
                raise place.mistake(f"unknown entry '{entry.name}'. {nearest(key.value, known)}")
            if key.value in entries:
                raise entry.mistake(f"'{entry.name}' stands twice; remove one")
            entries[key.value] = entry
        for key in required:
            if key not in entries:
                raise self.mistake(f"'{key}' is missing{f' in {self.name}' if self.name else ''}")
        return entries

    def find(self, key: str) -> "Entry | None":
        """The entry of this key, whatever else there is."""
        pairs = self._node.value if isinstance(self._node, yaml.MappingNode) else []
        found = (value for name, value in pairs if name.value == key)
        return next((Entry(node, self._path, f"{self.name}.{key}") for node in found), None)

    def items(self) -> list["Entry"]:
        """The entries of a list."""
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.mistake(f"{self.name} must be a list")
        return [
            Entry(node, self._path, f"{self.name}[{position}]")
            for position, node in enumerate(self._node.value)
        ]

    @property
    def raw(self) -> str:
        """The scalar's text as it is written, with the spaces around it."""
        return str(self._node.value) if self.text() else ""

    def text(self) -> str:
        """The scalar as text; never empty."""
        if not isinstance(self._node, yaml.ScalarNode) or not str(self._node.value).strip():
            raise self.mistake(f"{self.name} must be a text")
        return str(self._node.value).strip()

    def flag(self) -> bool:
        """True or false."""
        return self.choice(("true", "false")) == "true"

    def number(self, *, signed: bool = False) -> float:
        """A number, not negative unless signed."""
        if not re.fullmatch(rf"{'-?' if signed else ''}\d+(\.\d+)?", self.text()):
            what = "no number" if signed else "no number of 0 or more"
            raise self.mistake(f"{self.name}: '{self.text()}' is {what}")
        return float(self.text())

    def whole(self, *, signed: bool = False) -> int:
        """A whole number, not negative unless signed."""
        if not self.number(signed=signed).is_integer():
            raise self.mistake(f"{self.name}: '{self.text()}' is no whole number")
        return int(self.number(signed=signed))

    def choice(self, known: Iterable[str]) -> str:
        """One of the known words."""
        if self.text() not in known:
            raise self.mistake(f"{self.name}: '{self.text()}' is no choice. "
                               f"{nearest(self.text(), known)}")  # fmt: skip
        return self.text()


def read(path: Path) -> Entry:
    """The root of a YAML file.

    Raises:
        UserError: It cannot be read or is no YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path.parent.name}/{path.name}: cannot be read ({error})") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Entry:
    """The root of a YAML text that is in this file, or will be.

    Raises:
        UserError: It is no YAML.
    """
    place = f"{path.parent.name}/{path.name}"
    try:
        node = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{place}:{line}: this is no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{place}: cannot be read ({error})") from None
    if node is None:
        raise UserError(f"{place}:1: the file is empty; the other contracts show what belongs here")
    return Entry(node, path, "")
