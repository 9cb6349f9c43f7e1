"""The diff of two recorded runs: configuration and data."""

from ml_experiment_runner.record.config_diff import ChangedKey, changed_keys
from ml_experiment_runner.record.run_reader import RecordedRun

_NOT_COMPARED = (
    *("experiment.", "fail_fast", "hydra.", "outputs", "package", "project", "rows.", "task."),
    "tracking.",
)


def changed_settings(first: RecordedRun, other: RecordedRun) -> list[ChangedKey]:
    """The keys of the configuration that matter to a result and differ, and the signals.

    Of different model classes only the classes are named and not their parameters; of features
    those that were added and removed.
    """
    models = [run.params.get("model._target_") for run in (first, other)]
    changes = []
    for change in sorted(changed_keys(first.settings, other.settings)):
        if change.key == "dataset.features":
            change = _changed_features(change)
        is_of_other_model = change.key.startswith("model.") and models[0] != models[1]
        if not (is_of_other_model or change.key.startswith(_NOT_COMPARED)):
            changes.append(change)
    if models[0] != models[1]:
        changes.append(ChangedKey("model", model_of(first), model_of(other)))
    return changes + changed_signals(first, other)


def changed_signals(first: RecordedRun, other: RecordedRun) -> list[ChangedKey]:
    """The signals of which two runs read other rows: their versions and the start of their md5."""
    before, after = (
        {f"signal {read['signal']}": f"{read['version']}, {read['md5'][:8]}"
         for read in run.datasets}
        for run in (first, other)
    )  # fmt: skip
    return sorted(changed_keys(before, after))


def model_of(run: RecordedRun) -> str | None:
    """The class of a run's model."""
    return run.params.get("model._target_", "").rpartition(".")[2] or None


def _changed_features(change: ChangedKey) -> ChangedKey:
    before, after = ([] if text is None else text.strip("[]").replace("'", "").split(", ")
                     for text in change[1:])  # fmt: skip
    removed = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    return ChangedKey(change.key, ", ".join(removed) or None, ", ".join(added) or None)
