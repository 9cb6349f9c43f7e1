"""The code blocks of the documentation, and the place in a project that each of them names.

Where a block belongs is its title, or in a README, where no titles are shown, a first line such as
`# conf/dataset/flowers.yaml`:

- a path: the file, all of it;
- a path, `inside`, `after` or `instead of` the beginning of a line: put there;
- a path, `at the end`: appended;
- a path, `in part`: these keys are set in the YAML file;
- a path, `shortened`: an excerpt, where `…` stands for the rest;
- `servers`, `properties of the table`, `customProperties`: that part of a contract.

Blocks of `console`, `bash` and no kind are commands, those of `text` what somebody sees.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r'^( *)```(\w*)(?: title="([^"]*)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL
)  # fmt: skip
PATH = re.compile(r"[\w.-]+(/[\w.-]+)+")
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: example
version: 1.0.0
status: active
team: {name: Ada}
support: [{channel: mail, url: "mailto:ada@example.com"}]
servers: [{server: source, type: local, path: data/raw/example.csv, format: csv}]
schema:
  - name: example
    properties: [{name: number, logicalType: integer, primaryKey: true}]
"""
PARTS = ("servers", "properties of the table", "customProperties")


class Block(NamedTuple):
    """A fenced block of a page."""

    kind: str
    title: str
    text: str

    @property
    def path(self) -> str | None:
        """The file that the title names."""
        path = self.title.partition(", ")[0]
        return path if PATH.fullmatch(path) else None

    @property
    def where(self) -> str:
        """The place in that file; empty for all of it."""
        return self.title.partition(", ")[2]

    @property
    def is_servers(self) -> bool:
        """Whether it is a contract's list of servers."""
        return self.title.startswith("servers")

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a contract that a project need not have."""
        return self.title.startswith(PARTS) or self.where == "shortened"


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    found = []
    for indent, kind, title, text in FENCE.findall(page):
        text = re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
        opening, _, rest = text.partition("\n")
        if not title and PATH.fullmatch(opening.removeprefix("# ")):
            title, text = opening.removeprefix("# "), rest
        found.append(Block(kind, title, text))
    return found


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that are shown under it."""
    if block.kind != "console":
        text = block.text.replace("\\\n", " ")
        yield from ((re.split(r"\s{2,}#", line)[0], []) for line in text.splitlines() if line)
        return
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip() and line != "…" and found:
            found[-1][1].append(line)
    yield from found


def put(folder: Path, block: Block) -> None:
    """Put a block into its file, all of it or at the place that its title names."""
    assert block.path
    file, where = folder / block.path, block.where
    file.parent.mkdir(parents=True, exist_ok=True)
    if not where:
        file.write_text(block.text, encoding="utf-8")
        return
    if where == "in part":
        write_yaml(file, with_pieces(yaml.safe_load(file.read_text(encoding="utf-8")), block.text))
        return
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    if where == "at the end":
        at = len(lines)
    else:
        word = re.escape(re.sub("^(inside|after|instead of) ", "", where))
        (at,) = [at for at, line in enumerate(lines, 1) if re.match(f"(# )?{word}", line)]
    if where.startswith("instead of "):
        lines[at - 1] = block.text
    else:
        lines.insert(at, block.text)
    file.write_text("".join(lines), encoding="utf-8")


def put_part(folder: Path, name: str, parts: list[Block]) -> None:
    """Write a contract that holds these parts of one."""
    contract = yaml.safe_load(CONTRACT)
    if any("primaryKey" in block.text for block in parts):
        contract["schema"][0]["properties"] = []
    for block in parts:
        if block.path and (folder / block.path).exists():
            contract = yaml.safe_load((folder / block.path).read_text(encoding="utf-8"))
        if block.is_servers:
            contract["servers"] = yaml.safe_load(block.text)
        elif block.title == "customProperties of a server":
            contract["servers"][0]["customProperties"] = yaml.safe_load(block.text)
        elif block.title.startswith("customProperties"):
            contract["customProperties"] = yaml.safe_load(block.text)
        else:
            contract = with_pieces(contract, block.text)
    write_yaml(folder / "signals" / f"{name}.yaml", contract)


def with_pieces(content: dict[str, Any], text: str) -> dict[str, Any]:
    """A file's content with the keys of an excerpt; a list in it holds properties of the table."""
    for piece in re.split(r"^ *(?:# )?…\n", text, flags=re.MULTILINE):
        entries = yaml.safe_load(textwrap.dedent(piece)) or {}
        if isinstance(entries, dict):
            content = merged(content, entries)
            continue
        properties = {each["name"]: each for each in content["schema"][0]["properties"]}
        for entry in entries:
            properties[entry["name"]] = merged(
                {"logicalType": "number", **properties.get(entry["name"], {})}, entry
            )
        content["schema"][0]["properties"] = list(properties.values())
    return content


def merged(content: Any, entries: Any) -> Any:
    """Mappings and lists of properties with the entries of others; anything else is replaced."""
    if isinstance(content, dict) and isinstance(entries, dict):
        return content | {key: merged(content.get(key), value) for key, value in entries.items()}
    if isinstance(content, list) and all("property" in entry for entry in entries):
        return list({each["property"]: each for each in [*content, *entries]}.values())
    return entries


def write_yaml(file: Path, content: Any) -> None:
    """Write YAML below the comments that open the file."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    header = re.match(r"(#.*\n)*", text)
    assert header
    text = header.group() + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
