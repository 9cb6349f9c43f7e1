"""A little project with three signals: visits (the spine), prices (known late), shops (a state)."""

import contextlib
import itertools
import random
import shutil
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.project.repository import MARKS

TEMPLATE = Path(__file__).resolve().parents[2] / "{{cookiecutter.project_slug}}"
COUNTER = itertools.count()

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
name: {name}
version: 1.0.0
status: active
team: {{name: Team {name}}}
support:
  - {{channel: desk, url: mailto:{name}@example.com}}
servers:
  - {{server: source, type: local, path: {source}, format: csv}}
schema:
  - name: {name}
    properties:
{fields}
"""

FIELDS = {
    "visits": """\
- {name: at, logicalType: timestamp, required: true, primaryKey: true}
- {name: shop, logicalType: string, primaryKey: true}
- {name: visitor, logicalType: integer, primaryKey: true}
- {name: minute, logicalType: integer}
- {name: member, logicalType: boolean}
- {name: spent, logicalType: number, customProperties: [{property: knownAfterEvent, value: true}]}
""",
    "prices": """\
- {name: shop, logicalType: string, primaryKey: true}
- {name: hour, logicalType: timestamp, primaryKey: true}
- {name: price, logicalType: number}
""",
    "shops": """\
- {name: shop, logicalType: string, primaryKey: true}
- {name: opened, logicalType: date}
- {name: size, logicalType: integer}
""",
}
MORE = {
    "visits": """\
customProperties:
  - {property: eventTime, value: at}
  - {property: timeZone, value: America/New_York}
  - {property: nullValues, value: [NA]}
""",
    "prices": """\
slaProperties:
  - {property: latency, value: 1, unit: h}
  - {property: freshness, value: 6, unit: h}
customProperties:
  - {property: eventTime, value: hour}
""",
    "shops": "",
}

FEATURES = """\
import polars as pl

FEATURES = {
    "hour": pl.col("visits.at").dt.hour(),
    "minute": pl.col("visits.minute"),
    "member": pl.col("visits.member"),
    "shop": pl.col("visits.shop").cast(pl.Categorical),
    "price": pl.col("prices.price"),
    "relative_price": pl.col("prices.price") / pl.col("shops.size"),
    "size": pl.col("shops.size"),
}
LABELS = {"spends": pl.col("visits.spent") > 10}
PREDICTION_TIMES = {"arrival": pl.col("visits.at") + pl.duration(minutes=pl.col("visits.minute"))}
"""


class Recorder:
    """Takes the place of a run: keeps what is recorded."""

    def __init__(self) -> None:
        self.datasets: list[tuple[Any, ...]] = []
        self.tags: dict[str, str] = {}
        self.metrics: dict[str, float] = {}
        self.config: Any = None

    def stage(self, *_: Any) -> Any:
        return contextlib.nullcontext()

    def progress(self, items: Any, *_: Any) -> Any:
        return iter(items)

    def log_dataset(self, *values: Any) -> None:
        self.datasets.append(values)

    def log_tag(self, name: str, value: object) -> None:
        self.tags[name] = str(value)

    def log_metrics(self, metrics: dict[str, float]) -> None:
        self.metrics |= metrics


class DataProject:
    """Where a test's project is, and what is said about it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = next(path.parent.name for path in root.glob("src/*/features.py"))

    def contract(self, name: str) -> Path:
        return self.root / "signals" / f"{name}.yaml"

    def source(self, name: str) -> Path:
        return self.root / "data" / "raw" / f"{name}.csv"

    def partitions(self, name: str) -> dict[str, bytes]:
        folder = self.root / "data" / "signals" / name
        return {path.stem: path.read_bytes() for path in sorted(folder.glob("*"))}

    def features(self, old: str, new: str) -> None:
        """Edits features.py, under a new name so that it is imported anew."""
        path = self.root / "src" / self.package / "features.py"
        replace(path, old, new)
        self.rename_package()

    def rename_package(self) -> None:
        folder = self.root / "src" / self.package
        self.package = f"own{next(COUNTER)}"
        folder.rename(folder.with_name(self.package))

    def copy(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> "DataProject":
        """A copy, in which the test is from now on."""
        shutil.copytree(self.root, root)
        return DataProject(root).enter(monkeypatch)

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> "DataProject":
        monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(self.root))
        monkeypatch.syspath_prepend(str(self.root / "src"))
        return self

    def receive(self, *signals: str) -> None:
        """Receives signals in a process of its own."""
        process = self.python(
            "from ml_experiment_runner.signals.ingestion.loading import load_snapshots\n"
            f"load_snapshots({signals!r})"
        )
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output

    def commit(self) -> None:
        git(self.root, "add", ".")
        git(self.root, "commit", "-qm", "data")

    def config(self, **dataset: Any) -> DictConfig:
        return OmegaConf.create(
            {
                "package": self.package,
                "now": None,
                "signals": [],
                "debug": {"rows": None, "overfit": False},
                "dataset": {
                    "spine": "visits",
                    "prediction_time": "arrival",
                    "label": "spends",
                    "features": ["hour", "minute", "member", "shop", "price", "size"],
                    "joins": {"prices": {"shop": "shop"}, "shops": {"shop": "shop"}},
                    "split": {"by": "time", "validation": "1mo", "test": "1mo"},
                    **dataset,
                },
            }
        )

    def python(self, code: str, **options: Any) -> subprocess.Popen[str]:
        """A process of its own that runs code in this project."""
        prelude = (
            f"import logging, os, sys; sys.path[:0] = [{str(self.root / 'src')!r}]\n"
            f"os.environ['ML_EXPERIMENT_ROOT'] = {str(self.root)!r}\n"
            "logging.basicConfig(level='INFO', format='%(message)s', stream=sys.stdout)\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", prelude + textwrap.dedent(code)],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


def git(root: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(
        ["git", *who, *words], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout


def build(root: Path) -> DataProject:
    """Writes the project with its sources; nothing is received yet."""
    for mark in MARKS:
        (root / mark).parent.mkdir(parents=True, exist_ok=True)
        (root / mark).touch()
    package = root / "src" / f"own{next(COUNTER)}"
    package.mkdir(parents=True)
    (package / "features.py").write_text(FEATURES)
    shutil.copytree(TEMPLATE / ".dvc", root / ".dvc")
    replace(root / ".dvc" / "config", "{{ cookiecutter.project_slug }}", root.name)
    (root / "signals").mkdir()
    (root / "data" / "raw").mkdir(parents=True)
    shutil.copytree(TEMPLATE / "data" / "signals", root / "data" / "signals")
    (root / ".gitignore").write_text(
        "__pycache__/\n/data/cache/\n/data/raw/\n/data/held/\n/data/versions/*/[0-9A-Za-z_]*/\n"
    )
    for name, fields in FIELDS.items():
        text = CONTRACT.format(
            name=name,
            source=f"data/raw/{name}.csv",
            fields=textwrap.indent(fields, "      ").rstrip(),
        )
        (root / "signals" / f"{name}.yaml").write_text(text + MORE[name])
    _write_sources(root / "data" / "raw")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return DataProject(root)


def _write_sources(folder: Path) -> None:
    rng = random.Random(0)
    start = datetime(2024, 1, 1, 5, tzinfo=UTC)  # midnight in New York
    visits = ["at,shop,visitor,minute,member,spent"]
    prices = ["shop,hour,price"]
    for number in range(1200):
        at = start + timedelta(hours=2 * number)
        for shop in "ab":
            spent = "NA" if rng.random() < 0.1 else f"{rng.uniform(0, 20):.2f}"
            member = rng.choice(["true", "false"])
            visits.append(
                f"{at:%Y-%m-%dT%H:%M:%SZ},{shop},{rng.randint(1, 99)},{rng.randint(0, 59)},"
                f"{member},{spent}"
            )
        prices.append(f"a,{at + timedelta(minutes=20):%Y-%m-%dT%H:%M:%SZ},{rng.random():.4f}")
    (folder / "visits.csv").write_text("\n".join(visits) + "\n")
    (folder / "prices.csv").write_text("\n".join(prices) + "\n")
    (folder / "shops.csv").write_text("shop,opened,size\na,2020-05-01,12\nb,2021-06-02,\n")
