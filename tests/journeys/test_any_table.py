"""Tables of every shape go through all that a signal goes through, in one project.

Drafted, received three times, held, released, raised to a new version, pinned, joined as spine and
as another signal, trained on, and checked by the project's own tests.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from support import python_path
from support.baking import copy_template, run_cookiecutter
from support.journey import Project
from support.shapes import SHAPES, Shape, write
from support.store_reader import sync_workers

DRAFT = """\
import json, sys, traceback
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.cli.new import new
failed = {}
for name, place in json.loads(sys.argv[1]).items():
    try:
        new(["signal", name, "--from", place])
    except UserError as error:
        failed[name] = str(error)
    except Exception:
        failed[name] = traceback.format_exc()
print("====" + json.dumps(failed))
"""
RELEASE = """\
import sys
from ml_experiment_runner.cli.holds import holds
for hold in sys.argv[1:]:
    holds(["release", hold, "--by", "Ada", "--why", "They were removed on purpose."])
"""
SHORT = ("evaluation.bootstrap=20", "evaluation.importance_repeats=1")


class Outcome(NamedTuple):
    """What happened to all shapes, stage by stage.

    Attributes:
        project: Where.
        drafts: Why a draft failed, by signal.
        contracts: What was drafted.
        ingests: What each ingest printed.
        rows: Rows of each snapshot after each ingest, by signal.
        held: The holds' ids after the violation, by signal.
        runs: What the runs printed.
        trained: Status by the names of experiment and dataset.
        tests: What the project's own tests printed.
    """

    project: Project
    drafts: dict[str, str]
    contracts: dict[str, Contract]
    ingests: list[str]
    rows: list[dict[str, int]]
    held: dict[str, str]
    runs: str
    trained: dict[str, str]
    tests: str


def source(shape: Shape, notes: bool = False) -> str:
    return f"data/raw/{shape.name}{'_notes' if notes else ''}.{shape.form}"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("shapes")
    template = copy_template(folder / "template")
    made = run_cookiecutter(template, folder / "made", {"project_name": "Any", "example": "none"})
    assert made.code == 0, made.output
    project = Project(made.project)
    yield follow(project)
    for process in sync_workers(project.root):
        process.kill()


def follow(project: Project) -> Outcome:
    """Does with every shape what a user does with a signal."""
    root = project.root
    deliver(project, [shape.deliveries()[0] for shape in SHAPES])
    for shape in SHAPES:
        write(shape.notes(), root / source(shape, notes=True), shape.form)
    drafts = draft(project)
    contracts = activate(project)
    ingests, rows = [], []

    def ingest() -> None:
        done = project.run("task=ingest", code=None, seconds=600)
        ingests.append(done.stdout + done.stderr)
        rows.append(recorded(root))

    ingest()
    for number in (1, 2):
        deliver(project, [shape.deliveries()[number] for shape in SHAPES])
        ingest()
    deliver(project, [shape.violation() for shape in SHAPES])
    ingest()
    held = holds(root)
    script(project, RELEASE, *held.values())
    rows.append(recorded(root))
    deliver(project, [raised(shape) for shape in SHAPES])
    for shape in SHAPES:
        raise_version(root / "signals" / f"{shape.name}.yaml")
    ingest()
    datasets(project, contracts)
    names = ",".join(path.stem for path in sorted((root / "conf" / "dataset").glob("*.yaml")))
    done = project.run("-m", f"dataset={names}", *SHORT, code=None, seconds=900)
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Outcome(project, drafts, contracts, ingests, rows, held, done.stdout + done.stderr,
                   trained(project), tests.stdout + tests.stderr)  # fmt: skip


def trained(project: Project) -> dict[str, str]:
    """How the runs ended, by their spine."""
    found = {}
    for folder in project.folders():
        text = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in text]
        params = [event["values"] for event in events if event["kind"] == "params"]
        for values in params:
            if "dataset.spine" in values:
                found[values["dataset.spine"]] = events[-1].get("status", "none")
    return found


def deliver(project: Project, frames: list[pl.DataFrame]) -> None:
    for shape, frame in zip(SHAPES, frames, strict=True):
        write(frame, project.root / source(shape), shape.form)


def script(project: Project, code: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=project.root, env={"PYTHONPATH": python_path(project.root), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def draft(project: Project) -> dict[str, str]:
    places = {s.name: source(s) for s in SHAPES}
    places |= {f"{s.name}_notes": source(s, notes=True) for s in SHAPES}
    told = script(project, DRAFT, json.dumps(places))
    failed: dict[str, str] = json.loads(told.partition("====")[2])
    return failed


def activate(project: Project) -> dict[str, Contract]:
    """Fills in what only a person knows, as which fields are the key of a few notes."""
    keys = {f"{s.name}_notes": [*s.joined_by, *(["asked"] if s.event else [])] for s in SHAPES}
    for path in (project.root / "signals").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        text = text.replace("purpose: unknown", "purpose: A table.").replace(
            "name: unknown", "name: Desk"
        )
        text = text.replace("channel: unknown", "channel: desk").replace(
            "status: draft", "status: active"
        )
        for name in ("good", "helped"):
            text = re.sub(rf"(- name: {name}\n(?: {{8}}.*\n)*? +customProperties: \[)",
                          r"\g<1>{property: knownAfterEvent, value: true}, ", text)  # fmt: skip
        if path.stem in keys:
            text = with_key(text, keys[path.stem])
        zone = {s.name: s.zone for s in SHAPES}.get(path.stem, "UTC")
        text = text.replace("timeZone, value: UTC", f"timeZone, value: {zone}")
        path.write_text(text, encoding="utf-8")
    return dict(read_contracts(project.root))


def with_key(text: str, key: list[str]) -> str:
    """A contract with another key."""
    text = re.sub(r" +primaryKey(Position)?: .*\n", "", text)
    for name in key:
        quoted = re.escape(json.dumps(name, ensure_ascii=False))
        field = rf"( +)- name: (?:{re.escape(name)}|{quoted})\n"
        text, count = re.subn(field, r"\g<0>\1  primaryKey: true\n", text)
        assert count == 1, (name, text)
    # what a key's field may not say
    text = re.sub(r" +- \{metric: nullValues.*\n", "", text)
    return re.sub(r" +quality:\n(?! +- \{metric)", "", text)


def raised(shape: Shape) -> pl.DataFrame:
    """What comes under the next version: the rows are back, with one more column."""
    frame = shape.deliveries()[2]
    return frame.with_columns(pl.Series("added", [n % 7 for n in range(frame.height)]))


def raise_version(path: Path) -> None:
    if path.exists():
        text = path.read_text(encoding="utf-8").replace("version: 1.0.0", "version: 1.1.0")
        field = "    properties:\n      - {name: added, logicalType: integer}\n"
        path.write_text(text.replace("    properties:\n", field), encoding="utf-8")


def recorded(root: Path) -> dict[str, int]:
    import yaml

    records = {
        path.stem: yaml.safe_load(path.read_text()) for path in root.glob("data/signals/*.dvc")
    }
    return {name: each["meta"]["rows"] for name, each in records.items() if "meta" in each}


def holds(root: Path) -> dict[str, str]:
    from ml_experiment_runner.holds.holds import read_holds

    return {hold.subject: hold.id for hold in read_holds(root) if hold.status == "open"}


def datasets(project: Project, contracts: dict[str, Contract]) -> None:
    """Two for each shape: with its rows as the examples, and joined to the notes."""
    features: dict[str, str] = {}
    labels: dict[str, str] = {}
    for shape in SHAPES:
        if shape.name not in contracts or f"{shape.name}_notes" not in contracts:
            continue
        own = expressions(contracts[shape.name])
        features |= own | {f"{shape.name}_note": column(f"{shape.name}_notes", "note")}
        labels[f"{shape.name}_good"] = column(shape.name, "good")
        labels[f"{shape.name}_helped"] = column(f"{shape.name}_notes", "helped")
        on = json.dumps({name: name for name in shape.joined_by}, ensure_ascii=False)
        months = shape.months[-1] - shape.months[-2]
        split = (f"{{by: time, validation: {months}mo, test: 1mo}}" if shape.event
                 else "{by: random, validation: 0.2, test: 0.2}")  # fmt: skip
        for name, spine, other, label in (
            (shape.name, shape.name, f"{shape.name}_notes", "good"),
            (f"{shape.name}_joined", f"{shape.name}_notes", shape.name, "helped"),
        ):
            if name.endswith("_joined") and not shape.can_be_joined:
                continue
            chosen = [*own, f"{shape.name}_note"]
            pin = f"pin: {{{shape.name}: 1.0.0}}\n" if spine != shape.name else ""
            project.write(
                f"conf/dataset/{name}.yaml",
                f"spine: {spine}\nlabel: {shape.name}_{label}\nfeatures: [{', '.join(chosen)}]\n"
                f"joins: {{{other}: {on}}}\nsplit: {split}\n{pin}",
            )
    text = "import polars as pl\n\nFEATURES = {\n"
    text += "".join(f"    {name!r}: {each},\n" for name, each in features.items())
    text += "}\nLABELS = {\n" + "".join(f"    {k!r}: {each},\n" for k, each in labels.items())
    project.write("src/any/features.py", text + "}\n")


def column(signal: str, field: str) -> str:
    return f"pl.col({f'{signal}.{field}'!r})"


def expressions(contract: Contract) -> dict[str, str]:
    """Features of the fields that can be some, as texts of Python."""
    found = {}
    for number, field in enumerate(contract.fields):
        text = column(contract.name, field.name)
        if field.type in ("date", "timestamp"):
            text += ".dt.ordinal_day()"
        elif field.type in ("object", "array") or (field.type == "string" and not field.allowed):
            text += ".str.len_chars()"
        if not field.known_after_event and "none" not in field.name:
            found[f"{contract.name}_{number}"] = text
    return dict(list(found.items())[:12])


@pytest.mark.long
def test_table_of_any_shape_goes_through_all_of_it(
    outcome: Outcome, subtests: pytest.Subtests
) -> None:
    for shape in SHAPES:
        with subtests.test("drafted", shape=shape.name):
            assert shape.name not in outcome.drafts, outcome.drafts.get(shape.name)
            contract = outcome.contracts[shape.name]
            assert set(contract.key) == set(shape.key)
            assert contract.event_time == shape.event
        with subtests.test("received three times, with every row", shape=shape.name):
            for number, frame in enumerate(shape.deliveries()):
                assert outcome.rows[number].get(shape.name) == frame.height, outcome.ingests[number]
        with subtests.test("held and released", shape=shape.name):
            assert shape.name in outcome.held, outcome.ingests[3]
            assert outcome.rows[3][shape.name] == shape.deliveries()[2].height
            assert outcome.rows[4][shape.name] == shape.violation().height
        with subtests.test("trained on as spine and joined", shape=shape.name):
            assert outcome.trained.get(shape.name) == "FINISHED", outcome.runs
            if shape.can_be_joined:
                assert outcome.trained.get(f"{shape.name}_notes") == "FINISHED", outcome.runs
    with subtests.test("checked by the project's own tests"):
        assert re.search(r"\d+ passed", outcome.tests), outcome.tests
        assert "failed" not in outcome.tests, outcome.tests
