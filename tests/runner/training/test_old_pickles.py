"""Models that were pickled under the names of before load, and predict the same."""

import io
import pickle
import sys
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.moved_names import Unpickler
from ml_experiment_runner.training.models.ensemble import Ensemble
from ml_experiment_runner.training.models.fit import fit
from support.ensembles import configured, make


def old_class(patch: pytest.MonkeyPatch, module: str, name: str, **members: Any) -> type:
    """A class as it was called, which only pickle looks up."""
    made = type(name, (), {**members, "__module__": module})
    patch.setitem(sys.modules, module, ModuleType(module))
    setattr(sys.modules[module], name, made)
    return made


def pickled_as_before(ensemble: Ensemble) -> bytes:
    """The ensemble with the classes and attributes that it had before the runner was a package."""

    class Kind(StrEnum):
        BINARY = "binary"

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "runner.dataset.kind", ModuleType("runner.dataset.kind"))
        Kind.__module__, Kind.__qualname__ = "runner.dataset.kind", "Kind"
        sys.modules["runner.dataset.kind"].Kind = Kind  # type: ignore[attr-defined]
        fusion = old_class(patch, "runner.training.fusion", "Fusion")()
        vars(fusion).update(vars(ensemble.fusion_))
        fusion.kind = Kind(vars(fusion).pop("task_type"))
        old = old_class(patch, "runner.training.ensemble", "Ensemble")()
        vars(old).update(vars(ensemble), fusion_=fusion)
        old.kind_ = Kind(vars(old).pop("task_type_"))
        old.max_price = vars(old).pop("max_quality_gap")
        return pickle.dumps(old)


def test_ensemble_pickled_under_old_names_predicts_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    dataset = make(TaskType.BINARY, 600)
    ensemble = fit(configured(), dataset, dataset.split("train"))
    content = pickled_as_before(ensemble)
    assert b"ml_experiment_runner.dataset" not in content
    loaded = Unpickler(io.BytesIO(content)).load()
    features = dataset.split("test")[0]
    assert type(loaded) is Ensemble
    assert loaded.max_quality_gap == ensemble.max_quality_gap
    with pytest.raises(AttributeError, match="is called max_influence now"):
        loaded.reach()
    assert loaded.max_influence() == ensemble.max_influence()
    assert np.array_equal(loaded.predict_proba(features), ensemble.predict_proba(features))
