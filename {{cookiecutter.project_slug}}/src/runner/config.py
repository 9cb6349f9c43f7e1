"""The typed schema of the whole configuration, and its check."""

import dataclasses
import datetime
import difflib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigTypeError, OmegaConfBaseException, ValidationError

from runner.errors import UserError

SECRET_WORDS = re.compile(
    r"(^|[._-])(password|passwd|token|secret|api_?key|credentials?)($|[._=-])", re.I
)


@dataclass
class Task:
    """What computes: one function in `src/runner` or in your package.

    Attributes:
        _target_: Dotted path of a function `(config, run) -> dict of metrics`.
        uses: The groups it needs; they are checked before anything runs.
        parameters: The task's own, with their defaults in its file.
    """

    _target_: str
    uses: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass
class Experiment:
    """A question, who asks it, and the time set aside for it.

    Attributes:
        owner: Who answers for it.
        question: What the runs shall answer.
        budget_days: Working days set aside.
        until: Last day, `YYYY-MM-DD`.
        status: `active`, `graduated` or `stopped`.
        conclusion: What was learned; an experiment that is no longer active has one.
    """

    owner: str = ""
    question: str = ""
    budget_days: float | None = None
    until: str | None = None
    status: str = "active"
    conclusion: str | None = None


@dataclass
class Split:
    """How rows fall into train, validation and test.

    Attributes:
        by: `time` (the latest rows are the test part) or `random` (by a hash of the row's key).
        validation: A duration such as `1mo` or `2w` by time; a share such as `0.2` at random.
        test: The same for the test part.
    """

    by: str = "time"
    validation: str = "1mo"
    test: str = "1mo"


@dataclass
class Dataset:
    """Signals joined point-in-time onto the rows of one signal, the spine.

    Attributes:
        spine: The signal whose rows are the examples.
        moment: The instant a prediction is made: a name in MOMENTS of your `features.py`.
        label: A name in LABELS of your `features.py`.
        features: Names in FEATURES of your `features.py`.
        joins: For each other signal, its key fields and the spine's fields they equal.
        split: How rows fall into train, validation and test.
        slices: Groups of test rows that are judged by themselves as well: names in FEATURES, or
            month, weekday or hour of the moment.
        pin: Versions of signals to read instead of the current ones.
    """

    spine: str
    label: str
    features: list[str]
    moment: str | None = None
    joins: dict[str, dict[str, str]] = field(default_factory=dict)
    split: Split = field(default_factory=Split)
    slices: list[str] = field(default_factory=list)
    pin: dict[str, str] = field(default_factory=dict)


@dataclass
class Threshold:
    """What the threshold on the score is learned for, on validation data.

    Attributes:
        policy: `precision`, `recall`, `cost`, `top_k` or `f_beta`.
        target: The share that `precision` or `recall` must reach.
        confidence: How sure that must be.
        costs: What a row costs by what it is: `false_positive`, `false_negative`, and where they
            are not 0 `true_positive` and `true_negative`.
        capacity: The share of rows that `top_k` may flag.
        beta: Weight of recall in `f_beta`.
    """

    policy: str
    target: float | None = None
    confidence: float = 0.9
    costs: dict[str, float] = field(default_factory=dict)
    capacity: float | None = None
    beta: float = 1.0


@dataclass
class Tracking:
    """Where runs are recorded.

    Attributes:
        uri: MLflow tracking URI.
        inline: Start the MLflow run before the task, for code that calls `mlflow.*` itself.
    """

    uri: str
    inline: bool = False


@dataclass
class Evaluation:
    """How a model is judged.

    Attributes:
        bootstrap: Replicates behind each 95 % interval.
        importance_rows: Test rows used for the permutation importance.
        importance_repeats: Shuffles per feature.
        slice_rows: The least number of test rows for a slice.
        folds: Cross-validation over train and validation part; null for none.
        block: What keeps rows together in a fold: `time`, or a feature's name; null for time where
            there is a moment and single rows where not.
    """

    bootstrap: int = 500
    importance_rows: int = 2000
    importance_repeats: int = 5
    slice_rows: int = 100
    folds: int | None = None
    block: str | None = None


@dataclass
class Ablation:
    """What `task=ablate` leaves out, one after another.

    Attributes:
        leave_out: `signals`, `features`, or the `groups` of an ensemble.
        tolerance: A loss of this much of the main metric is nothing.
        minutes: No model is fitted after these.
    """

    leave_out: str = "signals"
    tolerance: float = 0.002
    minutes: float = 60.0


@dataclass
class Debug:
    """Shorter runs for finding mistakes.

    Attributes:
        rows: Rows in all, spread evenly over the parts; null for the whole dataset.
        overfit: Train and judge on the same handful of rows.
        profile: Record where the time goes.
    """

    rows: int | None = None
    overfit: bool = False
    profile: bool = False


@dataclass
class Config:
    """The whole configuration of a run.

    Attributes:
        task: What to do.
        tracking: Where runs are recorded.
        dataset: Which rows, label, features and split.
        model: An estimator's class as `_target_`, with its own parameters beside it.
        threshold: What the threshold is learned for.
        debug: Shorter runs for finding mistakes.
        experiment: The question behind the run.
        evaluation: How a model is judged.
        ablation: `task=ablate`: what is left out.
        project: Names the project on a shared tracking server.
        package: The package in `src/` that holds `features.py`.
        seed: One seed for everything random.
        seeds: How many seeds, from `seed` on, the model is fitted and judged with.
        threads: Threads for fits and frames; null for all cores.
        now: Pretend it is this moment, ISO 8601 with an offset; null for now.
        objective: The metric that runs are compared by; null for ROC AUC, of a number R².
        signals: `task=ingest`: the signals to receive; empty for all.
        outputs: Folder of the run folders.
    """

    task: Task
    tracking: Tracking
    project: str
    package: str
    outputs: str
    dataset: Dataset | None = None
    model: dict[str, Any] | None = None
    threshold: Threshold | None = None
    debug: Debug = field(default_factory=Debug)
    experiment: Experiment = field(default_factory=Experiment)
    evaluation: Evaluation = field(default_factory=Evaluation)
    ablation: Ablation = field(default_factory=Ablation)
    seed: int = 0
    seeds: int = 1
    threads: int | None = None
    now: str | None = None
    objective: str | None = None
    signals: list[str] = field(default_factory=list)


TOP_LEVEL = tuple(parameter.name for parameter in dataclasses.fields(Config))

CHOICES = {
    "experiment.status": ("active", "graduated", "stopped"),
    "dataset.split.by": ("time", "random"),
    "ablation.leave_out": ("signals", "features", "groups"),
    "threshold.policy": ("cost", "f_beta", "precision", "recall", "top_k"),
}


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known words, or all of them when they are few."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    if not names:
        return "There is none yet."
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"There is: {shown}."


def check(config: DictConfig) -> None:
    """Checks keys, types and choices without loading data or an estimator; fills in defaults.

    Raises:
        UserError: Names the first wrong key, with the nearest valid name.
    """
    _check_keys(config, Config, "")
    try:
        OmegaConf.to_container(config, resolve=True)
        typed = OmegaConf.merge(OmegaConf.structured(Config), config)
    except (ValidationError, ConfigTypeError) as error:
        key = error.full_key or str(error.key)
        if "is not a ListConfig" in str(error):
            raise UserError(f"{key}: it must be a list, such as {key}=[a,b]") from None
        raise UserError(f"{key}: {str(error).splitlines()[0]}") from None
    except OmegaConfBaseException as error:
        missing = re.search(r"Environment variable '(\w+)' not found", str(error))
        if missing:
            raise UserError(
                f"{error.full_key}: the environment variable {missing.group(1)} is not set; "
                "set it first, or in .env (.env.example lists all)"
            ) from None
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    for key, choices in CHOICES.items():
        value = OmegaConf.select(config, key)
        if value is not None and value not in choices:
            raise UserError(f"{key}: '{value}' is no choice. {nearest(str(value), choices)}")
    with open_dict(config):  # from here on values have their types, and defaults are there
        config.merge_with(OmegaConf.to_container(typed, resolve=False))
    _check_values(config)
    for group in config.task.get("uses", []):
        if config.get(group) is None:
            raise UserError(
                f"this task needs a {group} and none is chosen: "
                f"write conf/{group}/<name>.yaml and say {group}=<name> (README.md shows how)"
            )


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuses secrets on the command line: they would stay in the record and in `ps`.

    Raises:
        UserError: Names the key and what to do instead.
    """
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if SECRET_WORDS.search(key) and value and not value.startswith("${oc.env:"):
            variable = "${oc.env:" + re.sub(r"\W+", "_", key).upper() + "}"
            raise UserError(
                f"{key}: a secret on the command line would stay in the record; "
                f"set it in the environment and write {key}='{variable}'"
            )


def read_now(config: DictConfig) -> datetime.datetime | None:
    """The moment that the run pretends to live in, with its offset; None for the real one.

    Raises:
        UserError: It is no ISO 8601 time or lies in the future.
    """
    if config.get("now") is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(str(config.now))
    except ValueError:
        raise UserError(
            f"now: '{config.now}' is no ISO 8601 time; write it like 2013-11-30T00:00:00+00:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    today = datetime.datetime.now(datetime.UTC)
    if moment > today:
        raise UserError(
            f"now: {config.now} lies in the future; the latest possible is {today:%Y-%m-%dT%H:%MZ}"
        )
    return moment


def read_moment(config: DictConfig) -> datetime.datetime:
    """When the run takes place: `now`, or when the run that it repeats took place, or now."""
    said = os.environ.get("RUNNER_RERUN_AT")
    real = datetime.datetime.fromisoformat(said) if said else datetime.datetime.now(datetime.UTC)
    return read_now(config) or real


def _check_values(config: DictConfig) -> None:
    read_now(config)
    until = config.experiment.get("until")
    try:
        datetime.date.fromisoformat(str(until or "2027-01-31"))
    except ValueError:
        raise UserError(
            f"experiment.until: '{until}' is no day; write it like 2027-01-31"
        ) from None
    if config.experiment.status != "active" and not config.experiment.get("conclusion"):
        raise UserError(
            f"experiment.conclusion: missing; an experiment that is {config.experiment.status} "
            "says in a sentence what was learned"
        )
    if config.get("threshold"):
        _check_threshold(config.threshold)
    least = {"threads": 1, "debug.rows": 1, "seed": 0, "seeds": 1, "evaluation.folds": 2} | {
        f"evaluation.{name}": 1
        for name in ("bootstrap", "importance_rows", "importance_repeats", "slice_rows")
    }
    for key, minimum in least.items():
        value = OmegaConf.select(config, key)
        if value is not None and value < minimum:
            raise UserError(f"{key}: {value} is too few; write {minimum} or more")


def _check_threshold(threshold: DictConfig) -> None:
    policy = threshold.policy
    if policy in ("precision", "recall"):
        if not 0 < (threshold.target or 0) < 1:
            raise UserError(
                f"threshold.target: {policy} needs a share between 0 and 1, such as 0.8"
            )
        if not 0.5 <= threshold.confidence < 1:
            raise UserError(
                f"threshold.confidence: {threshold.confidence} is none; write 0.9 or 0.95"
            )
    if policy == "top_k" and not 0 < (threshold.capacity or 0) <= 1:
        raise UserError("threshold.capacity: top_k needs the share of rows that can be acted upon, "
                        "such as 0.1")  # fmt: skip
    known = ("false_positive", "false_negative", "true_positive", "true_negative")
    for name in threshold.costs:
        if name not in known:
            raise UserError(f"threshold.costs.{name}: no such key. {nearest(str(name), known)}")
    if policy == "cost" and not {"false_positive", "false_negative"} <= threshold.costs.keys():
        raise UserError("threshold.costs: cost needs false_positive and false_negative, what a "
                        "false alarm and a miss cost")  # fmt: skip


def _check_keys(node: DictConfig, schema: type, path: str) -> None:
    """Walks the configuration beside its schema and stops at the first unknown key."""
    kinds = get_type_hints(schema)
    for key in map(str, node):
        if key not in kinds:
            place = f"{path}{key}"
            where = f"under '{path.rstrip('.')}'" if path else "at the top level"
            raise UserError(f"{place}: no such key {where}. {nearest(key, kinds)}")
    for parameter in dataclasses.fields(schema):
        required = (
            parameter.default is dataclasses.MISSING
            and parameter.default_factory is dataclasses.MISSING
        )
        if required and parameter.name not in node:
            raise UserError(f"{path}{parameter.name}: missing; it has to be said")
        kind = next(
            (
                one
                for one in (kinds[parameter.name], *get_args(kinds[parameter.name]))
                if dataclasses.is_dataclass(one)
            ),
            None,
        )
        if kind is None or OmegaConf.is_missing(node, parameter.name):
            continue
        child = node.get(parameter.name)
        if isinstance(child, DictConfig) and isinstance(kind, type):
            _check_keys(child, kind, f"{path}{parameter.name}.")
