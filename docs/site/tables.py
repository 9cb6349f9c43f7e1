"""The page on what tables, files and contracts are taken, from the tables that the tests take."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "runner"


def page() -> str:
    """Each shape, each producer's dialect and each contract that the tests take, as one page."""
    sys.dont_write_bytecode = True
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    from shapes import SHAPES

    return "\n".join(
        [
            "# Tables, files and contracts",
            "",
            (
                "What comes in: this page is written from the tables of the tests, so that every "
                "line is something that was tried. [Contracts](contracts.md) says how to declare "
                "it, [Bring your own data](../how-to/own-data.md) how to begin."
            ),
            "",
            "## Shapes of tables",
            "",
            (
                "Each of them is drafted by `python run.py new signal`, received three times (more "
                "rows, late rows, corrected and removed rows), held when most of its rows are "
                "gone, released, raised to a new version, pinned, joined as spine and as another "
                "signal, trained on, and checked by the project's own tests "
                "(`tests/journeys/test_any_table.py`)."
            ),
            "",
            "| table | key | event time | file |",
            "|---|---|---|---|",
            *(
                f"| {shape.about} | {_code(shape.key)} | {_code([shape.event])} | {shape.form} |"
                for shape in SHAPES
            ),
            "",
            *_contracts(),
        ]
    )


def _code(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names if name) or "none"  # type: ignore[attr-defined]


def _contracts() -> list[str]:
    lines = []
    for path in sorted((TESTS / "contracts").glob("*.y*ml")):
        text = path.read_text(encoding="utf-8")
        version = re.search(r"^apiVersion: *['\"]?(v[\d.]+)", text, re.MULTILINE)
        about = re.match(r"# (.*)", text)
        told = about[1] if about else path.stem.replace("_", " ").replace("-", " ")
        lines.append(f"| {told} | {version[1] if version else ''} | {len(text.splitlines())} |")
    return [
        "## Contracts",
        "",
        (
            "Contracts in the manner of what teams publish. Each is taken, or refused for a reason "
            "that the standard gives (`tests/runner/test_public_contracts.py`)."
        ),
        "",
        "| contract | standard | lines |",
        "|---|---|--:|",
        *lines,
        "",
    ]
