"""Every model on flights' test month: `make bench ARGS=models`.

Each fit is a run of a generated project, from the command to the return of `run.py`. What the page
says of it is read from the record, and from what `run.py compare` tells of the runs.
"""

import json
import os
import re
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import projects
import yaml
from clock import Clock, Sample
from store import Store


@dataclass(frozen=True)
class Question:
    """What is asked of the flights, and what answers are judged by; `metrics` names two."""

    name: str
    title: str
    experiment: str
    metrics: tuple[str, str]
    models: tuple[str, ...]


BOOSTED = ("lightgbm", "xgboost", "catboost")
EVERY = ("hist_gradient_boosting", "random_forest", *BOOSTED, "tabular_network")
MEMBER = "one model like the ensemble's members"
QUESTIONS = (
    Question(
        "late", "Late or not", "weather", ("roc_auc", "log_loss"),
        ("dummy", "logistic_regression", *EVERY, "ensemble", MEMBER),
    ),
    Question(
        "arrival_delay", "How many minutes", "arrival_delay", ("r2", "mae"),
        ("dummy", "ridge", *EVERY),
    ),
    Question(
        "punctuality", "Early, on time or late", "punctuality", ("roc_auc", "log_loss"),
        ("dummy", "logistic_regression", *EVERY),
    ),
)  # fmt: skip
QUICKLY = {"logistic_regression", "lightgbm", "ensemble", MEMBER}  # to the first question


@dataclass
class Fitted:
    """What was seen of one model; `difference` and `verdict` in the words of `run.py compare`."""

    run: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: Sample = field(default_factory=Sample)
    fit: Sample = field(default_factory=Sample)
    peaks: list[int] = field(default_factory=list)
    difference: str = ""
    verdict: str = ""

    @property
    def memory(self) -> str:
        return f"{max(self.peaks) / 2**30:.2f} GiB"

    def interval(self, metric: str) -> tuple[float, float, float]:
        """The metric of the test part, and the ends of its interval."""
        name = f"test/{metric}"
        return self.metrics[name], self.metrics[f"{name}/low"], self.metrics[f"{name}/high"]


class ModelsBench:
    """A project on flights, and what its models have done."""

    def __init__(self, folder: Path, quick: bool, deep: bool, repeats: int) -> None:
        self.quick = quick
        self.repeats = repeats
        self.threads = os.cpu_count() or 1
        self.clock = Clock(folder)
        self.project = projects.generate(folder / "flights", "Flight Delays", "flights")
        self.python = projects.deep_environment(self.project) if deep else sys.executable
        self.network = deep or find_spec("torch") is not None
        self.store = Store(self.project / "mlflow.db", self.project)
        single = yaml.safe_load((self.project / "conf/experiment/ensemble.yaml").read_text())
        self.member = single["model"]["member"]
        self.features = single["dataset"]["features"]
        self.found: dict[str, dict[str, Fitted]] = {}

    def measure(self) -> None:
        """Fit all models `repeats` times in turn, the first one changing."""
        if not self.network:
            print("skipped: tabular_network, which needs PyTorch (--deep)", flush=True)
        for question in self.questions:
            models = self.models(question)
            # receives what there is to receive, and fills the cache of features
            self.clock.run(self.project, *self.words(question, "dummy"), python=self.python)
            if question is QUESTIONS[0]:
                projects.commit(self.project)
            found = self.found[question.name] = {model: Fitted() for model in models}
            for repeat in range(self.repeats):
                start = repeat % len(models)
                for model in [*models[start:], *models[:start]]:
                    self.run(question, model, found[model])
                    print(f"{repeat + 1}/{self.repeats}  {question.name}  {model}  "
                          f"{found[model].seconds.values[-1]:.1f} s", flush=True)  # fmt: skip
            self.compare(question)

    @property
    def questions(self) -> tuple[Question, ...]:
        """Those that are asked here."""
        return QUESTIONS[:1] if self.quick else QUESTIONS

    def models(self, question: Question) -> list[str]:
        """Those that are fitted here."""
        models = [model for model in question.models if self.network or model != "tabular_network"]
        return [model for model in models if model in QUICKLY] if self.quick else models

    def words(self, question: Question, model: str) -> list[str]:
        """The command that fits a model."""
        chosen = [f"+experiment={question.experiment}", f"model={model}"]
        if model == "ensemble":
            chosen = ["+experiment=ensemble"]
        elif model == MEMBER:
            said = [f"model.{name}={value}" for name, value in self.member.items()]
            chosen = [f"+experiment={question.experiment}", "model=hist_gradient_boosting", *said]
        features = f"dataset.features=[{','.join(self.features)}]"
        slice_ = ["debug=smoke"] if self.quick else []
        return ["run.py", *chosen, features, f"threads={self.threads}", *slice_]

    def run(self, question: Question, model: str, fitted: Fitted) -> None:
        """Fit one model and take what its record says."""
        for kept in (self.project / "data" / "cache").glob("member-*.pkl"):
            kept.unlink()  # an ensemble takes members that it has fitted before
        words = self.words(question, model)
        call = self.clock.run(self.project, *words, python=self.python, watch=True)
        if list(self.project.glob("outputs/.pending/*/*.run")):
            sys.exit(f"the record was still pending:\n{call.output}")
        self.store.arrived(call.begin, 1)
        folder = self.project / re.findall(r"^run +(\S+)$", call.output, re.MULTILINE)[-1]
        metrics = recorded(folder)
        judged = {name: value for name, value in metrics.items() if name.startswith("test/")}
        if fitted.metrics and judged != fitted.metrics:
            sys.exit(f"{model} has other metrics than before: {fitted.metrics}, {judged}")
        fitted.run, fitted.metrics = folder.name[-8:], judged
        fitted.seconds.values.append(call.seconds)
        fitted.fit.values.append(metrics["seconds/fit"])
        fitted.peaks.append(call.peak)

    def compare(self, question: Question) -> None:
        """Ask `run.py compare` which differences are real."""
        found = {fitted.run: fitted for fitted in self.found[question.name].values()}
        call = self.clock.run(
            self.project, "run.py", "compare", *found, python=self.python, COLUMNS="300"
        )
        columns: dict[str, int] = {}
        for line in call.output.splitlines():
            if line.startswith("run "):
                columns = {name: line.index(name) for name in ("verdict", "minus the best")}
            elif columns and line[:8] in found and line[8:9] == " ":
                found[line[:8]].verdict = cell(line, columns["verdict"])
                found[line[:8]].difference = cell(line, columns["minus the best"])
        silent = [name for name, fitted in found.items() if not fitted.verdict]
        if silent:
            sys.exit(f"run.py compare says nothing of {silent}:\n{call.output}")

    def ranked(self, question: Question) -> list[tuple[str, Fitted]]:
        """The models, the best first."""
        main = f"test/{question.metrics[0]}"
        found = self.found[question.name].items()
        return sorted(found, key=lambda each: -each[1].metrics[main])


def recorded(folder: Path) -> dict[str, float]:
    """The last value of each metric in a run's journal."""
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    events = [event for event in map(json.loads, lines) if event["kind"] == "metric"]
    return {event["name"]: event["value"] for event in events}


def cell(line: str, start: int) -> str:
    """What a line of a table holds in the column that starts there; "" if nothing."""
    return re.split(r"\s{3,}", line[start:])[0].strip()
