"""The configuration's schema: every key with its type, its default and its meaning."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin, get_type_hints


@dataclass
class Task:
    """What computes: a function of the runner or of your package.

    Attributes:
        _target_: Dotted path of a function `(config, run) -> dict of metrics`.
        uses: Groups that the task needs; they are checked before anything runs.
        parameters: The task's own parameters, with their defaults in its file.
    """

    _target_: str
    uses: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass
class Experiment:
    """A question, its owner, and the time set aside for it.

    Attributes:
        owner: Who is responsible for the experiment.
        question: The question that the runs answer.
        budget_days: Working days set aside.
        until: Last day, `YYYY-MM-DD`.
        status: `active`, `graduated` or `stopped`.
        conclusion: What was learned; required once the experiment is no longer active.
    """

    owner: str = ""
    question: str = ""
    budget_days: float | None = None
    until: str | None = None
    status: str = "active"
    conclusion: str | None = None


@dataclass
class SplitConfig:
    """The train, validation and test split.

    Attributes:
        by: `time` (the latest rows are the test split) or `random` (by a hash of the row's key).
        validation: Size of the validation split: a duration such as `1mo` or `2w` by time, a share
            such as `0.2` at random.
        test: Size of the test split, in the same way.
    """

    by: str = "time"
    validation: str = "1mo"
    test: str = "1mo"


@dataclass
class Dataset:
    """Signals joined point-in-time onto the rows of one signal, the spine.

    Attributes:
        spine: The signal whose rows are the examples.
        prediction_time: When a prediction is made: a name in PREDICTION_TIMES of your
            `features.py`; null for the spine's event time.
        label: A name in LABELS of your `features.py`.
        features: Names in FEATURES of your `features.py`.
        joins: For each other signal, its key fields and the fields of the spine that they equal.
        split: The train, validation and test split.
        slices: Groups of test rows that are also evaluated by themselves: names in FEATURES, or
            month, weekday or hour of the prediction time.
        pin: Versions of signals to read instead of the current ones.
    """

    spine: str
    label: str
    features: list[str]
    prediction_time: str | None = None
    joins: dict[str, dict[str, str]] = field(default_factory=dict)
    split: SplitConfig = field(default_factory=SplitConfig)
    slices: list[str] = field(default_factory=list)
    pin: dict[str, str] = field(default_factory=dict)


@dataclass
class Threshold:
    """The policy that the threshold on the score is learned by, on validation data.

    Attributes:
        policy: `precision`, `recall`, `cost`, `top_k` or `f_beta`.
        target: Precision or recall that must be reached.
        confidence: Confidence with which the target must be reached.
        costs: Cost of a row by its outcome: `false_positive`, `false_negative`, and where they are
            not 0 `true_positive` and `true_negative`.
        capacity: Share of rows that `top_k` may flag.
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
    """How a model is evaluated.

    Attributes:
        bootstrap: Replicates behind each 95 % interval.
        importance_rows: Test rows used for the permutation importance.
        importance_repeats: Shuffles of each feature for the permutation importance.
        slice_rows: Least number of test rows in a slice.
        folds: Folds of the cross-validation over train and validation split; null for none.
        block: What keeps rows together in a fold: `time`, or the name of a feature; null for time
            where there is a prediction time, else for single rows.
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
        tolerance: Loss of the main metric that counts as none.
        minutes: Time limit in minutes; no model is fitted after it.
    """

    leave_out: str = "signals"
    tolerance: float = 0.002
    minutes: float = 60.0


@dataclass
class Debug:
    """Shorter runs for finding mistakes.

    Attributes:
        rows: Number of rows, spread evenly over the splits; null for the whole dataset.
        overfit: Train and evaluate on the same few rows.
        profile: Record a profile of the run.
    """

    rows: int | None = None
    overfit: bool = False
    profile: bool = False


@dataclass
class Config:
    """The whole configuration of a run.

    Attributes:
        task: What computes.
        tracking: Where runs are recorded.
        dataset: Rows, label, features and split.
        model: An estimator's class as `_target_`, with its own parameters beside it.
        threshold: The policy that the threshold is learned by.
        debug: Shorter runs for finding mistakes.
        experiment: The question behind the run.
        evaluation: How a model is evaluated.
        ablation: What `task=ablate` leaves out.
        project: Name of the project on a shared tracking server.
        package: The package in `src/` that holds `features.py`.
        seed: One seed for everything random.
        seeds: Number of seeds, from `seed` on, that the model is fitted and evaluated with.
        threads: Threads for fits and data frames; null for all cores.
        now: Time at which the run takes place, ISO 8601 with an offset; null for the present.
        objective: The metric that runs are compared by; null for ROC AUC, or R² in regression.
        fail_fast: Stop a sweep at its first job that fails.
        signals: Signals that `task=ingest` receives; empty for all.
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
    fail_fast: bool = False
    signals: list[str] = field(default_factory=list)


RENAMED_KEYS = {
    "dataset.moment": "dataset.prediction_time",
    "model.max_price": "model.max_quality_gap",
}
"""Old names of keys, and their present ones."""

TOP_LEVEL = tuple(parameter.name for parameter in dataclasses.fields(Config))

SECTIONS = tuple(
    name
    for name, type_hint in get_type_hints(Config).items()
    for option in (type_hint, *get_args(type_hint))
    if dataclasses.is_dataclass(option) or get_origin(option) is dict
)
"""Top-level keys that are mappings; most of them are groups."""

CHOICES = {
    "experiment.status": ("active", "graduated", "stopped"),
    "dataset.split.by": ("time", "random"),
    "ablation.leave_out": ("signals", "features", "groups"),
    "threshold.policy": ("cost", "f_beta", "precision", "recall", "top_k"),
}

RANGES = {
    "seed": "[0, 2000000000]",  # LightGBM takes 31 bits, and `seeds` counts on from here
    "seeds": "[1, 1000]",
    "threads": "[1, 1024]",
    "experiment.budget_days": "(0, 10000]",
    "evaluation.bootstrap": "[1, 100000]",
    "evaluation.importance_rows": "[1, 1000000000]",
    "evaluation.importance_repeats": "[1, 1000]",
    "evaluation.slice_rows": "[1, 1000000000]",
    "evaluation.folds": "[2, 100]",
    "ablation.tolerance": "[0, 1]",
    "ablation.minutes": "[0, 100000]",
    "debug.rows": "[1, 1000000000]",
    "threshold.target": "(0, 1)",
    "threshold.confidence": "[0.5, 1)",
    "threshold.costs": "[-1000000000, 1000000000]",
    "threshold.capacity": "(0, 1]",
    "threshold.beta": "[0, 1000]",
}
"""The interval of every number; a round bracket leaves its end out."""

PLUGIN_RANGES = {
    "hydra.sweeper.n_trials": (int, "[1, 1000000]"),
    "hydra.sweeper.n_jobs": (int, "[1, 1024]"),
    "hydra.sweeper.max_batch_size": (int | None, "[1, 1000000]"),
    "hydra.launcher.n_jobs": (int | None, "[1, 1024]"),
    "hydra.launcher.timeout_min": (int, "[1, 1000000]"),
    "hydra.launcher.cpus_per_task": (int, "[1, 1024]"),
    "hydra.launcher.mem_gb": (float | None, "(0, 100000]"),
    "hydra.launcher.gpus_per_node": (int | None, "[0, 1024]"),
    "hydra.launcher.slurm_array_parallelism": (int, "[1, 1000000]"),
    "hydra.launcher.num_cpus": (float, "[0, 1024]"),
    "hydra.launcher.num_gpus": (float, "[0, 1024]"),
}
"""Type and interval of every number in the runner's own launchers and sweepers."""


def is_within(interval: str, value: float) -> bool:
    """Whether a number lies in an interval as it is written here; NaN lies in none."""
    low, high = map(float, interval[1:-1].split(","))
    is_above = low <= value if interval[0] == "[" else low < value
    is_below = value <= high if interval[-1] == "]" else value < high
    return is_above and is_below
