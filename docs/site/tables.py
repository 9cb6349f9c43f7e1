"""The page on what tables, files and contracts come in, from the tables that the tests take."""

import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
OF_SIGNALS = TESTS / "runner" / "signals"
SOURCE = ROOT / "src"


def page() -> str:
    """Each shape, each way to write a file and each contract that the tests take, as one page."""
    sys.dont_write_bytecode = True
    places = (str(place) for place in (TESTS, OF_SIGNALS, SOURCE))
    sys.path[:0] = [place for place in places if place not in sys.path]
    return "\n".join(
        [
            "# Tables, files and contracts",
            "",
            (
                "What comes in: this page is written from the tables of the tests, so that every "
                "line is something that was tried. [Contracts](contracts.md) says how to declare "
                "it, [From two CSV files to a recorded run](../how-to/two-tables.md) how to begin."
            ),
            "",
            *_shapes(),
            *_files(),
            *_contracts(),
        ]
    )


def _shapes() -> list[str]:
    shapes = importlib.import_module("support.shapes").SHAPES
    return [
        "## Shapes of tables",
        "",
        (
            "Each of them is drafted by `python run.py new signal`, received three times (more "
            "rows, late rows, corrected and removed rows), held when most of its rows are gone, "
            "released, raised to a new version, pinned, joined as spine and (with its own key) as "
            "another signal, trained on, and checked by the project's own tests "
            "(`tests/journeys/test_any_table.py`)."
        ),
        "",
        "| table | key | event time | file |",
        "|---|---|---|---|",
        *(
            f"| {shape.about} | {_code(shape.key)} | {_code([shape.event])} | {shape.form} |"
            for shape in shapes
        ),
        "",
    ]


def _files() -> list[str]:
    tests = importlib.import_module("test_dialects")
    endings = dict.fromkeys(ending for ending, _ in tests.PACKED.values())
    packed = ", ".join(f"`{ending}`" for ending in endings)
    return [
        "## Files",
        "",
        (
            "One table, written in each of these ways, is drafted and received as exactly the same "
            f"(`tests/runner/signals/test_dialects.py`). Files may be packed: {packed}. Folders, "
            "patterns and folders such as `year=2024/month=03` are read as one table."
        ),
        "",
        *(f"- {name}" for name in tests.PRODUCERS),
        "",
    ]


def _contracts() -> list[str]:
    lines = []
    for path in sorted((OF_SIGNALS / "contracts").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        version = re.search(r"^apiVersion: *['\"]?(v[\d.]+)", text, re.MULTILINE)
        outcome = text.partition("\n")[0].lstrip("# ").replace("unchecked: ", "not checked: ")
        name = path.stem.removeprefix("refused_").replace("_", " ")
        lines.append(f"| {name} | {version[1] if version else 'other'} | {outcome} |")
    return [
        "## Contracts",
        "",
        (
            "Contracts in the manner of what teams publish. Each is taken, or refused for a reason "
            "that the standard gives; what is not checked here is listed by "
            "`python run.py signals <name>` (`tests/runner/signals/test_public_contracts.py`)."
        ),
        "",
        "| contract | standard | outcome |",
        "|---|---|---|",
        *lines,
        "",
    ]


def _code(names: Iterable[str | None]) -> str:
    return ", ".join(f"`{name}`" for name in names if name) or "none"
