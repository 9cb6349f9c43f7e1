"""The site: builds strictly, its links lead somewhere, and its reference is complete."""

import dataclasses
import importlib
import itertools
import json
import os
import re
import subprocess
import sys
import typing
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from support import SOURCE
from support.pages import ROOT, blocks, commands

GENERATED = ROOT / "{{cookiecutter.project_slug}}"
PACKAGED = SOURCE / "ml_experiment_runner" / "conf"


class Page(HTMLParser):
    """Links, anchors and loaded files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if "src" in values:
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_site_has_no_link_that_leads_nowhere(site: Path, pages: dict[Path, Page]) -> None:
    wrong = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            target, anchor = urldefrag(unquote(link))
            if re.match(r"[a-z]+:|//", link) or path.name == "404.html":
                continue
            file = path if not target else (path.parent / target).resolve()
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file():
                wrong.append(f"{path.relative_to(site)}: {link}")
            elif anchor and file in pages and anchor not in pages[file].anchors:
                wrong.append(f"{path.relative_to(site)}: {link} (no such anchor)")
    assert not wrong, "\n".join(wrong)


def test_site_loads_nothing_from_elsewhere(pages: dict[Path, Page]) -> None:
    outside = {link for page in pages.values() for link in page.loaded if "//" in link}
    assert not outside


def test_search_finds_pages_and_generated_reference(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    places = {entry["location"] for entry in index["docs"]}
    assert {"tutorial/", "reference/configuration/", "reference/commands/"} <= places
    assert any("evaluation.bootstrap" in entry["text"] for entry in index["docs"])


def test_reference_names_every_key_command_and_task(site: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    config = importlib.import_module("ml_experiment_runner.config.schema").Config
    text = (site / "reference" / "configuration" / "index.html").read_text(encoding="utf-8")
    missing = [key for key in keys(config) if f"<code>{key}</code>" not in text]
    options = [*(GENERATED / "conf").glob("*/*.yaml"), *PACKAGED.glob("*/*.yaml")]
    for path in options:
        if f"<code>{path.parent.name}={path.stem}</code>" not in text:
            missing.append(f"{path.parent.name}={path.stem}")
    text = (site / "reference" / "commands" / "index.html").read_text(encoding="utf-8")
    missing += [name for name in importlib.import_module("ml_experiment_runner.cli.app").COMMANDS
                if f'id="python-runpy-{name}"' not in text]  # fmt: skip
    text = (site / "reference" / "tasks" / "index.html").read_text(encoding="utf-8")
    tasks = [path.stem for path in PACKAGED.glob("task/*.yaml")]
    missing += [name for name in tasks if f"<code>task={name}</code>" not in text]
    assert "train" in tasks
    assert len(options) > 20
    assert not missing


def test_reference_of_contracts_names_every_entry(monkeypatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = ("contract.contract_file", "contract.table", "contract.timeliness", "odcs.standard")
    contract, table, timeliness, standard = (
        importlib.import_module(f"ml_experiment_runner.signals.{name}") for name in names
    )
    text = (ROOT / "docs" / "reference" / "contracts.md").read_text(encoding="utf-8")
    server = importlib.import_module("ml_experiment_runner.signals.contract.server_entry")
    words = {*table.TYPES, *server.FORMATS, *standard.VERSIONS, *timeliness.SLA_PROPERTIES}
    for shape in ("contract", "description", "server", "table", "property", "team", "support"):
        words |= {*standard.SHAPES[shape]}
    words |= {*server.TYPES, *server.READERS, "incremental"}
    for kind in (*server.TYPES.values(), *server.READERS.values()):
        words |= {*kind.entries, *kind.properties}
    words |= {*timeliness.WHEN_HELD, *table.CUSTOM_OF_FIELD, *contract.CUSTOM}
    words |= {"draft", "deprecated", "retired"}
    quality = importlib.import_module("ml_experiment_runner.signals.odcs.quality_rules")
    options = importlib.import_module("ml_experiment_runner.signals.odcs.type_options").OPTIONS
    words |= {*quality.METRICS, *quality.OPERATORS, *itertools.chain(*options.values())}
    assert not [word for word in words if f"`{word}`" not in text]


@pytest.mark.parametrize("page", ["explanation/silent-changes.md", "reference/violations.md"])
def test_page_names_every_kind_of_drift(page: str) -> None:
    limits = importlib.import_module("ml_experiment_runner.signals.drift.limits")
    figures = importlib.import_module("ml_experiment_runner.signals.drift.figures.kinds").FIGURES
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    kinds = {each.kind for each in (*limits.DETECTORS, *figures)}
    rows = set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
    assert len(kinds) > 20
    assert not kinds - rows


def test_page_on_silent_changes_has_the_limits_of_the_code() -> None:
    rows = importlib.import_module("ml_experiment_runner.signals.drift.rows")
    detection = importlib.import_module("ml_experiment_runner.signals.drift.detection")
    path = ROOT / "docs" / "explanation" / "silent-changes.md"
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert f"fewer than {rows.FEW} new rows" in text
    assert f"{rows.WIDE} fields at most" in text
    assert f"up to {rows.WIDE} of them" in text
    assert "About a million of the newest rows" in text
    assert detection.PAST_ROWS == 1_000_000


NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def test_counts_in_prompt_and_pages_are_those_of_a_project(bake) -> None:
    flights, empty = bake(), bake(example="none")
    asked = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    counts = {
        ("cookiecutter.json", "signals"): len(list(flights.glob("signals/*.yaml"))),
        ("cookiecutter.json", "experiments"): len(list(flights.glob("conf/experiment/*.yaml"))),
        ("cookiecutter.json", "steps"): len(
            re.findall(r"^\d\. ", (empty / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
        ),
        ("README.md", "questions"): len([key for key in asked if not key.startswith("_")]),
        ("docs/tutorial.md", "short questions"): len([key for key in asked if key[0] != "_"]),
    }
    for (page, noun), count in counts.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        words = re.findall(rf"\b({'|'.join(NUMBERS)}) {noun}\b", text.lower())
        assert words, (page, noun)
        assert {NUMBERS.index(word) for word in words} == {count}, (page, noun)


def test_page_that_names_code_to_be_called_says_to_review_it(bake) -> None:
    pages = [path for path in (ROOT / "docs").rglob("*.md") if "benchmarks" not in path.name]
    calls = re.compile(r"^_target_:|reader, value: \w+\.|`_target_`.*`reader`|a dotted path", re.M)
    texts = {path: path.read_text(encoding="utf-8") for path in [*pages, bake() / "README.md"]}
    found = {path.name: "as code" in text for path, text in texts.items() if calls.search(text)}
    assert {"own-model.md", "add-a-task.md", "receive-signals.md", "contracts.md", "README.md"} <= {
        *found
    }
    assert all(found.values()), found


def test_pages_list_all_that_can_be_typed(bake) -> None:
    printed = subprocess.run(
        [sys.executable, "run.py"], cwd=bake(), capture_output=True, encoding="utf-8", check=True
    )
    existing = sections(printed.stdout.splitlines())
    shown = 0
    for path in (ROOT / "docs").rglob("*.md"):
        for block in blocks(path.read_text(encoding="utf-8")):
            for command, lines in commands(block):
                if block.kind == "console" and command == "python run.py":
                    listed = sections(lines)
                    assert listed == {name: existing[name] for name in listed}, path
                    shown += len(listed)
    assert shown >= 2, "tasks and experiments are shown at least once"


def sections(lines: list[str]) -> dict[str, list[list[str]]]:
    """The words of the indented lines under each heading of `python run.py`."""
    found: dict[str, list[list[str]]] = {}
    for line in lines:
        if re.fullmatch("[A-Z][a-z ]+", line):
            found[line] = []
        elif found and line.startswith("  "):
            found[list(found)[-1]].append(line.split())
    return found


def keys(kind: type, prefix: str = "") -> list[str]:
    """Every key of the schema, dotted."""
    found = []
    for name, hint in typing.get_type_hints(kind).items():
        found.append(f"{prefix}{name}")
        for one in (hint, *typing.get_args(hint)):
            if isinstance(one, type) and dataclasses.is_dataclass(one):
                found += keys(one, f"{prefix}{name}.")
    return found
