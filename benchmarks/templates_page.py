"""What `make bench ARGS=templates` writes."""

import re
from pathlib import Path

import projects
from report import machine
from templates_bench import JOBS, LOCK, OURS, SCRIPTS, TemplatesBench

OTHERS = ("lightning", "torch")
KEDRO = ("kedro", "kedro-mlflow", "kedro-datasets", "mlflow", "scikit-learn", "polars", "numpy")

LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}
RECORDED = (SCRIPTS / "recorded.md").read_text(encoding="utf-8")
HOW = """\
Times are wall-clock seconds from the command to its return, when all that is named has arrived in
MLflow, which is looked up each time: {repeats}. Of several, it is the median, the fastest and the
slowest in brackets. All ways run in turn, each repetition beginning with another one, and if there
is more than one, after a round that is not counted. All this is what a run costs around its fit:
where that takes minutes, the ways differ by little.

- One experiment: `+experiment=baseline`, will a flight be late? A logistic regression learns from
  January to October 2013 with all cores; the assembled dataset is there as a Parquet file, which
  all three read.
- Eight idle jobs: the same over eight strengths of the penalty on iris, 150 rows, so that what is
  left is what a job costs by itself. Ours and Hydra's basic launcher do one job after the other in
  one process; kedro has no sweep, so each job is a `kedro run`. The figure is the whole divided by
  the jobs. Ours includes the run of the sweep.
- All must get the same metrics: the four of each part that theirs compute with scikit-learn, and
  with as much recorded all intervals and the threshold; the benchmark stops where one differs.
- Both projects are written for this page, in the way the tools have it done, and are printed below.
  lightning-hydra-template trains networks with Lightning. Its structure is kept, groups of Hydra
  for data, model, trainer, callbacks and logger, each instantiated by its `_target_`, with
  scikit-learn's estimator as the model. {lightning}
- kedro's way is a project with catalog, nodes and two pipelines; kedro-mlflow's hooks and datasets
  record. It has an environment of its own, with the same MLflow, scikit-learn and polars.
- MLflow's store is the same SQLite file for all, created before. Theirs wait for it at every call.
  Nobody phones home.
- Templates are more than what they cost at the start of a job. [Beside other
  tools](explanation/comparison.md) says when to take which.
"""
WITH_LIGHTNING = """\
"In Lightning" has Lightning's
  own trainer, data module and module around it: the table is one batch, and a step fits the
  estimator. Without it, loading Lightning and PyTorch costs nothing, which is in their favour."""
WITHOUT_LIGHTNING = """\
Its
  own trainer is replaced by a small one, so loading Lightning and PyTorch costs nothing here, which
  is in their favour; `--deep` installs both and measures that too."""


def table(bench: TemplatesBench) -> str:
    """The tables in Markdown."""
    lines = [
        f"| | one experiment | ratio | {JOBS} idle jobs, per job | ratio |",
        "|---|---|---|---|---|",
    ]
    for way in bench.ways:
        run, job = bench.runs[way], bench.jobs[way]
        ratios = ["", ""]
        if way is not OURS:
            ratios = [
                f"{bench.runs[OURS].median / run.median:.2f}",
                f"{bench.jobs[OURS].median / job.median:.2f}",
            ]
        lines.append(f"| {way.name} | {run} | {ratios[0]} | {job} | {ratios[1]} |")
    return "\n".join(lines)


def page(bench: TemplatesBench, command: str, load: float | None) -> str:
    """The page of the docs."""
    lightning = WITH_LIGHTNING if bench.deep else WITHOUT_LIGHTNING
    repeats = "once" if bench.repeats == 1 else f"{bench.repeats} repetitions"
    skipped = "" if bench.kedro else "\n\nSkipped: kedro, which does not install here."
    parts = [
        "# The same experiment in other templates' ways",
        f"Written by `{command}`; run it to see your machine's figures.",
        f"{table(bench)}\n\nA ratio is ours divided by theirs: below 1, ours takes less.{skipped}",
        f"## What each records\n\n{RECORDED}",
        "## How it was measured",
        HOW.format(repeats=repeats, lightning=lightning),
        machine(load, projects.versions(bench.python, OTHERS)),
        f"Kedro's environment: {locked()}.",
        "## The projects that were compared",
        "`evaluation.py` is that of [the benchmarks of runs](benchmarks.md).",
    ]
    for name in ("hydra", "kedro"):
        for path in sorted((SCRIPTS / name).rglob("*")):
            if path.is_file() and path.suffix in LANGUAGES and path.stat().st_size:
                parts.append(listing(path))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def listing(path: Path) -> str:
    """A file of theirs, whole."""
    text = path.read_text(encoding="utf-8").rstrip()
    language = LANGUAGES[path.suffix]
    return f"### `{path.relative_to(SCRIPTS).as_posix()}`\n\n```{language}\n{text}\n```"


def locked() -> str:
    """What kedro's lock holds of what matters."""
    text = LOCK.read_text(encoding="utf-8")
    found = {name: re.search(rf"^{name}==(\S+)", text, re.MULTILINE) for name in KEDRO}
    return ", ".join(f"{name} {each.group(1)}" for name, each in found.items() if each)
