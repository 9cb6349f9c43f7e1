"""A YAML document whose entries know their line, so that a mistake names it.

Only the tree comes from the YAML library; what a scalar means follows from where it is expected.
So `NO` and `1_000` stay texts, as in YAML 1.2.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.odcs.yaml_limits import SIZE, check_bounds

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SHOWN = 20
"""So many mistakes of a file are reported; who has more will run it again anyway."""
_NULLS = ("", "~", "null", "Null", "NULL")
_MERGE = "<<"


class Mistake(UserError):  # noqa: N818 (a person's mistake in a file)
    """What is wrong in a file, at a line of it.

    Attributes:
        line: The line, from 1.
    """

    def __init__(self, place: str, line: int, message: str) -> None:
        super().__init__(f"{place}:{line}: {message}")
        self.place, self.line, self.message = place, line, message

    def __reduce__(self) -> tuple[type["Mistake"], tuple[str, int, str]]:
        """Errors come from processes of their own, and so are pickled."""
        return Mistake, (self.place, self.line, self.message)


class Mistakes:
    """Collects the mistakes of a file, so that all of them are reported at once."""

    def __init__(self, mistakes: Iterable[Mistake] = ()) -> None:
        self.all = list(mistakes)

    def add(self, mistake: Mistake) -> None:
        """Adds a mistake."""
        self.all.append(mistake)

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Keeps the mistake that ends this step; the steps after it go on."""
        try:
            yield
        except Mistake as mistake:
            self.add(mistake)

    def lines(self) -> list[str]:
        """One line for each, in the order of the file."""
        return list(dict.fromkeys(map(str, sorted(self.all, key=lambda mistake: mistake.line))))


def combined_error(lines: list[str]) -> UserError:
    """One error with all lines, or the first of very many."""
    more = [f"… and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
    return UserError("\n".join([*lines[:SHOWN], *more]))


class Entry:
    """A value in a YAML file.

    Attributes:
        name: The key or list position that it stands at, such as `schema[0].properties[3].name`.
    """

    def __init__(self, node: yaml.Node, path: Path, name: str) -> None:
        self.name = name
        self._node = node
        self._path = path

    @property
    def line(self) -> int:
        """The line that it begins at."""
        return int(self._node.start_mark.line) + 1

    @property
    def start(self) -> tuple[int, int]:
        """Line and column that it begins at, from 0."""
        return int(self._node.start_mark.line), int(self._node.start_mark.column)

    @property
    def end(self) -> tuple[int, int]:
        """Line and column that it ends before, from 0."""
        return int(self._node.end_mark.line), int(self._node.end_mark.column)

    @property
    def is_flow(self) -> bool:
        """Whether it is written in brackets."""
        return bool(getattr(self._node, "flow_style", False))

    def mistake(self, message: str) -> Mistake:
        """The error that names this entry's file and line."""
        return Mistake(f"{self._path.parent.name}/{self._path.name}", self.line, message)

    def mapping(self, known: Iterable[str], required: Iterable[str] = ()) -> dict[str, "Entry"]:
        """The entries by key.

        Raises:
            UserError: A key is unknown, duplicate or missing.
        """
        known = tuple(known)
        if not self.is_mapping:
            raise self.mistake(f"{self._what} must hold keys and values, such as `{min(known)}: …`")
        entries: dict[str, Entry] = {}
        for place, entry in self.pairs():
            key = place.text()
            if key not in known:
                unknown = f"unknown entry '{shorten(entry.name)}'"
                raise place.mistake(f"{unknown}. {nearest(shorten(key), known)}")
            if key in entries:
                raise entry.mistake(f"duplicate key '{entry.name}'; remove one")
            entries[key] = entry
        for key in required:
            if key not in entries:
                raise self.mistake(f"'{key}' is missing{f' in {self.name}' if self.name else ''}")
        return entries

    def entries(self) -> dict[str, "Entry"]:
        """The entries by key, whatever keys there are; empty if it is not a mapping.

        An entry that is null is as good as none, as the standard has it.
        """
        by_key: dict[str, Entry] = {}
        for place, entry in self.pairs():
            if place.is_scalar and not entry.is_null:
                by_key.setdefault(place.raw, entry)
        return by_key

    def pairs(self) -> list[tuple["Entry", "Entry"]]:
        """Keys and values in order, those of YAML's merge key `<<` behind; none of no mapping."""
        return [
            (Entry(key, self._path, self.name), Entry(value, self._path, self._under(key)))
            for key, value in _merged(self._node)
        ]

    def _under(self, key: yaml.Node) -> str:
        return f"{self.name}.{key.value}".lstrip(".") if _is_scalar(key) else self.name

    def find(self, key: str) -> "Entry | None":
        """The entry of this key, whatever else there is."""
        return self.entries().get(key)

    def items(self) -> list["Entry"]:
        """The entries of a list."""
        if not self.is_list:
            raise self.mistake(f"{self._what} must be a list")
        return [
            Entry(node, self._path, f"{self.name}[{position}]")
            for position, node in enumerate(self._node.value)
        ]

    @property
    def _what(self) -> str:
        return self.name or "the file"

    @property
    def is_mapping(self) -> bool:
        """Whether it holds keys and values."""
        return isinstance(self._node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self._node, yaml.SequenceNode)

    @property
    def is_scalar(self) -> bool:
        """Whether it is one value."""
        return _is_scalar(self._node)

    @property
    def is_null(self) -> bool:
        """Whether nothing stands here, or YAML's null."""
        node = self._node
        return _is_scalar(node) and not node.style and str(node.value) in _NULLS

    @property
    def raw(self) -> str:
        """The scalar without surrounding spaces; empty if it is not a scalar."""
        return str(self._node.value).strip() if self.is_scalar else ""

    @property
    def written(self) -> str:
        """The scalar with surrounding spaces; empty if it is not a scalar."""
        return str(self._node.value) if self.is_scalar else ""

    def text(self) -> str:
        """The scalar as text; never empty."""
        if not self.raw:
            raise self.mistake(f"{self._what} must be a text")
        return self.raw

    def scalar(self) -> str | None:
        """The scalar as it is written, which may be empty; None for null."""
        if not isinstance(self._node, yaml.ScalarNode):
            raise self.mistake(f"{self.name} must be a single value")
        return None if self.is_null else str(self._node.value)

    def flag(self) -> bool:
        """True or false."""
        if self.raw in ("True", "TRUE", "False", "FALSE"):
            return self.raw.lower() == "true"
        return self.choice(("true", "false")) == "true"

    def number(self, *, signed: bool = False) -> float:
        """A number, not negative unless signed."""
        sign = "[-+]?" if signed else ""
        if not re.fullmatch(rf"{sign}(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", self.text()):
            what = "a number" if signed else "a number of at least 0"
            raise self.mistake(f"{self.name} must be {what}, got '{shorten(self.text())}'")
        return float(self.text())

    def whole(self, *, signed: bool = False) -> int:
        """A whole number, not negative unless signed."""
        if not self.number(signed=signed).is_integer():
            raise self.mistake(f"{self.name} must be a whole number, got '{shorten(self.text())}'")
        return int(self.number(signed=signed))

    def choice(self, known: Iterable[str]) -> str:
        """One of the known words."""
        known = tuple(known)
        if self.text() not in known:
            word = shorten(self.text())
            raise self.mistake(f"{self.name}: unknown value '{word}'. {nearest(word, known)}")
        return self.text()


def read(path: Path) -> Entry:
    """The root of a YAML file.

    Raises:
        UserError: It cannot be read or is not valid YAML.
    """
    place = f"{path.parent.name}/{path.name}"
    try:
        if (size := path.stat().st_size) > SIZE:
            raise UserError(
                f"{place}: the file must be at most {SIZE / 1e6:.0f} MB, got {size / 1e6:,.1f} MB"
            )
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place}: cannot be read: invalid UTF-8 at byte {error.start + 1}; save it as UTF-8"
        ) from None
    except OSError as error:
        raise UserError(f"{place}: cannot be read ({error.strerror})") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Entry:
    """The root of a YAML text that is in this file, or will be.

    Raises:
        UserError: It is not valid YAML, or larger or deeper than a contract can be.
    """
    place = f"{path.parent.name}/{path.name}"
    try:
        check_bounds(text, place)
        node = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{place}:{line}: invalid YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = f"#x{error.character:04x}" if isinstance(error.character, int) else "?"
        raise UserError(f"{place}:{line}: invalid YAML: it holds the control character "
                        f"{character}") from None  # fmt: skip
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{place}: invalid YAML: {reason}") from None
    if node is None:
        raise UserError(
            f"{place}:1: the file is empty; see the other contracts for what belongs here"
        )
    return Entry(node, path, "")


def _is_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)


def _merged(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    """The pairs of a mapping, with those of the mappings that it merges and does not override."""
    if not isinstance(node, yaml.MappingNode):
        return []
    own = [pair for pair in node.value if not _is_merge(pair[0])]
    if len(own) == len(node.value):
        return own
    taken = {key.value for key, _ in own if _is_scalar(key)}
    for key, value in node.value:
        if not _is_merge(key):
            continue
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            for pair in _merged(source):
                if not _is_scalar(pair[0]) or pair[0].value not in taken:
                    taken.add(pair[0].value)
                    own.append(pair)
    return own


def _is_merge(key: yaml.Node) -> bool:
    return _is_scalar(key) and key.value == _MERGE and not key.style
