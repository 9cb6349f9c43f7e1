"""The members of an ensemble: each is fitted once, and kept for as long as its inputs are equal."""

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import pickle
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.dataset.dataset import Dataset, Examples
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.atomic import draft_of
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.models.ensemble import Ensemble, answer, has_values, readable
from ml_experiment_runner.training.models.fusion import fit_fusion
from ml_experiment_runner.training.models.groups import configured_groups, groups_of
from ml_experiment_runner.training.models.pipeline import fit_estimator

log = logging.getLogger(__name__)

BLOCKS = 10  # of rows for each fold: neighbours in time stay together, and seasons do not


@dataclass
class Member:
    """A fitted model, and its predictions of rows that it was not fitted to.

    Attributes:
        model: The pipeline.
        held_out: Out-of-fold predictions for all rows, NaN for those without values; None where no
            folds were asked for.
        fingerprint: Names everything that it was learned from.
        learned: When, ISO 8601.
        is_reused: Whether it was there already.
    """

    model: Any
    held_out: Floats | None
    fingerprint: str
    learned: str
    is_reused: bool = False


def fit_ensemble(
    config: DictConfig,
    dataset: Dataset,
    examples: Examples,
    prediction_time: pl.Series | None = None,
) -> Ensemble:
    """Fits the members whose inputs have changed, and learns how their answers are put together.

    Args:
        config: Its `model`, `seed`, `threads` and `package` are used.
        dataset: Where the rows are from.
        examples: Features and label to learn from.
        prediction_time: Of each row: rows of one time are held out together.

    Raises:
        UserError: Groups overlap, or no member can learn from these rows.
    """
    features, label = examples
    reads = {name: dataset.reads[name] for name in features.columns}
    groups = groups_of(configured_groups(config.model), reads)
    members = _fit_members(config, dataset, examples, groups, prediction_time)
    held_out = {
        group: member.held_out for group, member in members.items() if member.held_out is not None
    }
    fusion = fit_fusion(
        dataset.task_type, config.model.fusion, held_out, label, dataset.classes,
        config.model.blast_radius,
    )  # fmt: skip
    parameters: dict[str, Any] = OmegaConf.to_container(config.model, resolve=True)  # type: ignore[assignment]
    parameters.pop("_target_")
    ensemble = Ensemble(**parameters).assembled(
        dataset.task_type,
        dataset.classes or ((0, 1) if dataset.task_type == TaskType.BINARY else ()),
        {group: groups[group] for group in members},
        [name for name in features.columns if features.schema[name] == pl.String],
        {group: member.model for group, member in members.items()},
        fusion,
    )
    ensemble.learned_ = {
        group: {
            "fingerprint": member.fingerprint, "learned": member.learned, "reused": member.is_reused
        }
        for group, member in members.items()
    }  # fmt: skip
    return ensemble


def _fit_members(
    config: DictConfig,
    dataset: Dataset,
    examples: Examples,
    groups: Mapping[str, list[str]],
    prediction_time: pl.Series | None,
) -> dict[str, Member]:
    """The members by group, without groups that have too few values."""
    features, label = examples
    folds = _folds(len(label), config.model.folds, prediction_time, config.seed)
    members: dict[str, Member] = {}
    for group, names in groups.items():
        begin = time.perf_counter()
        model = config.model.members.get(group) or config.model.member
        member = fit_member(config, model, dataset, (features.select(names), label), folds)
        if member is None:
            log.warning("the group '%s' has too few rows with values to learn from; it is left out",
                        group)  # fmt: skip
            continue
        members[group] = member
        if member.is_reused:
            log.info("member %s  reused from %s: nothing that it depends on has changed",
                     group, member.learned)  # fmt: skip
        else:
            log.info("member %s  %.1f s", group, time.perf_counter() - begin)
    if not members:
        raise UserError("model: no group of the ensemble has values to learn from; see the "
                        "warnings above, and dataset.joins")  # fmt: skip
    return members


def fit_member(
    config: DictConfig,
    model: DictConfig,
    dataset: Dataset,
    examples: Examples,
    folds: NDArray[np.int64] | None,
) -> Member | None:
    """Fits one member, or takes the one that was fitted to just the same.

    Args:
        config: Its `seed`, `threads` and `package` are used.
        model: The class as `_target_` and its parameters.
        dataset: What is learned.
        examples: The member's features and the label.
        folds: The fold of each row, shape (rows,); None to fit to all rows only.

    Returns:
        None if too few rows have a value.
    """
    features, label = examples
    texts = [name for name in features.columns if features.schema[name] == pl.String]
    frame = readable(features, features.columns, texts)
    known = has_values(frame)
    if not _can_learn(dataset.task_type, label, known, folds):
        return None
    fingerprint = _fingerprint(config, model, dataset, frame, label, folds)
    path = repository.root() / "data" / "cache" / f"member-{fingerprint}.pkl"
    if (cached := _read(path)) is not None:
        return cached

    def fit(rows: NDArray[np.bool_]) -> Any:
        learned = frame.filter(rows), label[rows]
        return fit_estimator(
            model, learned, dataset.task_type, dataset.classes, config.seed, config.threads
        )

    held_out = None if folds is None else _predict_held_out(fit, dataset, frame, known, folds)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    member = Member(fit(known), held_out, fingerprint, now)
    _keep(path, member)
    return member


def _can_learn(
    task_type: TaskType,
    label: NDArray[Any],
    known: NDArray[np.bool_],
    folds: NDArray[np.int64] | None,
) -> bool:
    """Whether all rows, and those outside of each fold, have enough different labels."""
    least = 1 if task_type == TaskType.REGRESSION else 2
    fitted_to = [known]
    if folds is not None:
        fitted_to += [known & (folds != fold) for fold in np.unique(folds)]
    return all(len(np.unique(label[rows])) >= least for rows in fitted_to)


def _predict_held_out(
    fit: Callable[[NDArray[np.bool_]], Any],
    dataset: Dataset,
    frame: pl.DataFrame,
    known: NDArray[np.bool_],
    folds: NDArray[np.int64],
) -> Floats:
    """Predictions of each fold by a model of the others; NaN in rows without a value."""
    shape = (frame.height, len(dataset.classes)) if dataset.classes else (frame.height,)
    predictions: Floats = np.full(shape, np.nan)
    for fold in np.unique(folds):
        held_out = known & (folds == fold)
        if held_out.any():
            predictions[held_out] = answer(
                fit(known & (folds != fold)), dataset.task_type, frame.filter(held_out),
                dataset.classes,
            )  # fmt: skip
    return predictions


def _folds(
    rows: int, count: int, prediction_time: pl.Series | None, seed: int
) -> NDArray[np.int64]:
    """The fold of each row: in blocks of neighbours in time, or at random where there is none.

    Rows of the same hour share their weather: one that was learned from leaks the other's label.
    """
    if prediction_time is None:
        return np.random.default_rng(seed).permutation(rows) % count
    rank = np.empty(rows, dtype=np.int64)
    rank[np.argsort(prediction_time.to_physical().to_numpy(), kind="stable")] = np.arange(rows)
    return rank * (count * BLOCKS) // rows % count


def _fingerprint(
    config: DictConfig,
    model: DictConfig,
    dataset: Dataset,
    frame: pl.DataFrame,
    label: NDArray[Any],
    folds: NDArray[np.int64] | None,
) -> str:
    """The same in every process for the same values, label, model and code."""
    top = str(model._target_).partition(".")[0]
    digest = hashlib.blake2b(digest_size=12)
    sources = sorted(Path(__file__).parent.glob("*.py"))
    if top == config.package:  # a class of the project's own
        sources += sorted((repository.root() / "src" / top).rglob("*.py"))
    for path in sources:
        digest.update(path.read_bytes())
    recipe = {
        "model": OmegaConf.to_container(model, resolve=True),
        "task_type": [dataset.task_type, *dataset.classes],
        "seed": config.seed,
        "threads": config.threads or os.cpu_count(),
        "columns": [[name, str(dtype)] for name, dtype in frame.schema.items()],
        "versions": {name: _version(name) for name in sorted({"sklearn", "numpy", top})},
    }
    digest.update(json.dumps(recipe, sort_keys=True).encode())
    for column in frame:  # the value under a null is arbitrary
        missing = column.is_null()
        digest.update(missing.to_numpy().tobytes())
        if column.dtype == pl.String:
            digest.update("\0".join(column.fill_null("").to_list()).encode())
        else:
            digest.update(column.fill_null(0.0).to_numpy().tobytes())
    digest.update("\0".join(label).encode() if dataset.classes else label.tobytes())
    digest.update(b"" if folds is None else folds.tobytes())
    return digest.hexdigest()


def _version(package: str) -> str:
    """The installed version of an import's package; empty for the project's own."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return str(getattr(sys.modules.get(package), "__version__", ""))


def _read(path: Path) -> Member | None:
    try:
        with path.open("rb") as file:
            member = pickle.load(file)  # noqa: S301 - written by `_keep`
    except FileNotFoundError:
        return None
    except Exception as error:
        log.warning("the cached member %s is damaged (%r); fitting it again", path, error)
        return None
    member.is_reused = True
    return member if isinstance(member, Member) else None


def _keep(path: Path, member: Member) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(path) as draft:
            draft.write_bytes(cloudpickle.dumps(member, protocol=5))
    except OSError as error:
        log.warning("the member cannot be cached in %s (%s)", path.parent, error)
