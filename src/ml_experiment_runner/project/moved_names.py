"""Former names of modules of the vendored runner, with the present ones; removed in version 1.0.

Projects that were generated before have `_target_`s, imports and pickled models with these names.
"""

import pickle
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ml_experiment_runner.project.errors import UserError

OLD, NEW = "runner", "ml_experiment_runner"
MOVED = {
    "app": "cli.app",
    "app.CheckFirst": "cli.hydra_task.CheckConfiguration",
    "atomic": "project.atomic",
    "composition": "config.composition",
    "config": "config.checks",
    "config.check_overrides": "config.typed_secrets.refuse_secrets",
    "config.check_plugins": "config.plugin_checks.check_plugins",
    "config.nearest": "project.suggestions.nearest",
    "config.read_moment": "config.run_time.read_run_time",
    "config.read_now": "config.run_time.read_now",
    "dataset.kind": "dataset.task_type",
    "dataset.kind.Kind": "dataset.task_type.TaskType",
    "dataset.kind.kind_of": "dataset.task_type.task_type_of",
    "dataset.split": "dataset.splits",
    "dataset.split.at_random": "dataset.splits.split_at_random",
    "dataset.split.by_time": "dataset.splits.split_by_time",
    "dataset.uses": "dataset.lineage",
    "doctor": "cli.doctor",
    "errors": "project.errors",
    "escapes": "project.secrets.escapes",
    "findings": "record.findings",
    "holds": "holds.holds",
    "lineage": "cli.signals",
    "lock": "project.lock",
    "metrics": "config.metrics",
    "new": "cli.new",
    "parallel": "sweeps.job_process",
    "parameters": "config.parameters",
    "path_names": "project.path_names",
    "profiling": "record.profiling",
    "project": "project.repository",
    "pruning": "training.pruning",
    "record.address": "record.sync.store_address",
    "record.card": "record.card.page",
    "record.changes": "record.config_diff",
    "record.clean": "cli.clean",
    "record.complete": "record.sync.completeness",
    "record.deliver": "cli.sync",
    "record.delivery": "record.sync.client",
    "record.embedded": "record.sync.embedded_store",
    "record.inline": "record.inline",
    "record.liveness": "record.process_identity",
    "record.model": "record.sync.models",
    "record.recorded.find_run": "record.find_run.find_run",
    "record.recorded.load_run": "record.find_run.load_run",
    "record.recorded": "record.run_reader",
    "record.replay": "record.sync.worker",
    "record.rerun": "cli.rerun",
    "record.store": "record.sync.mlflow_store",
    "record.system": "record.system_metrics",
    "resume": "sweeps.resume",
    "schema": "config.schema",
    "search": "sweeps.optuna_search",
    "secrets": "project.secrets",
    "session": "sweeps.session",
    "signals.arrival": "signals.ingestion.fetch_result",
    "signals.aside": "signals.snapshots.quarantine",
    "signals.bounds": "signals.odcs.yaml_limits",
    "signals.casts": "signals.casting.casts",
    "signals.change": "signals.drift.detection",
    "signals.checks": "signals.checks.schema",
    "signals.conditions": "signals.checks.conditions",
    "signals.contract": "signals.contract.contract",
    "signals.contract_file": "signals.contract.contract_file",
    "signals.date_detection": "signals.drafts.date_detection",
    "signals.date_patterns": "signals.odcs.date_patterns",
    "signals.detection": "signals.drafts.csv_detection",
    "signals.dialect": "signals.contract.dialect",
    "signals.diff": "signals.snapshots.diff",
    "signals.document": "signals.odcs.yaml_document",
    "signals.draft": "signals.drafts.draft",
    "signals.draft_table": "signals.drafts.table",
    "signals.evidence": "signals.drift",
    "signals.evidence.course": "signals.drift.sequence",
    "signals.evidence.identities": "signals.drift.invariants",
    "signals.evidence.relations": "signals.drift.relationships",
    "signals.evidence.rows": "signals.drift.rows",
    "signals.evidence.values": "signals.drift.values",
    "signals.exact_numbers": "signals.casting.exact_numbers",
    "signals.generated_key": "signals.contract.generated_key",
    "signals.importing": "signals.drafts.contract_import",
    "signals.inspection": "signals.drafts.schema_inference",
    "signals.odcs": "signals.odcs.values",
    "signals.patterns": "signals.odcs.patterns",
    "signals.people": "signals.contract.people",
    "signals.physical": "signals.contract.physical_types",
    "signals.pictures": "signals.snapshots.diff_plots",
    "signals.profile": "signals.snapshots.profile",
    "signals.profile_file": "signals.snapshots.profile_file",
    "signals.promises": "signals.contract.timeliness",
    "signals.publish": "signals.snapshots.writer",
    "signals.quality": "signals.odcs.quality_rules",
    "signals.readers": "signals.sources",
    "signals.readers.api": "signals.sources.api",
    "signals.readers.columns": "signals.sources.columns",
    "signals.readers.content": "signals.sources.file_content",
    "signals.readers.csv_files": "signals.sources.csv_files",
    "signals.readers.dvc": "signals.sources.dvc",
    "signals.readers.files": "signals.sources.files",
    "signals.readers.json_files": "signals.sources.json_files",
    "signals.readers.model": "signals.sources.model_output",
    "signals.readers.places": "signals.sources.file_locations",
    "signals.readers.sql": "signals.sources.sql",
    "signals.readers.transfer": "signals.sources.http",
    "signals.reading": "signals.odcs.reading",
    "signals.receive": "signals.ingestion.ingestion",
    "signals.received": "signals.ingestion.loading",
    "signals.report": "signals.ingestion.hold_report",
    "signals.rule_attributes": "signals.odcs.rule_attributes",
    "signals.rules": "signals.checks.quality",
    "signals.server": "signals.contract.source_configuration",
    "signals.snapshot": "signals.snapshots.snapshot",
    "signals.source": "signals.sources.fetch",
    "signals.standard": "signals.odcs.standard",
    "signals.standing": "signals.snapshots.availability",
    "signals.table": "signals.contract.table",
    "signals.times": "signals.casting.times",
    "signals.tolerance": "signals.checks.tolerance",
    "signals.type_options": "signals.odcs.type_options",
    "signals.uniqueness": "signals.checks.uniqueness",
    "signals.versions": "signals.snapshots.versions",
    "structured": "project.secrets.structured",
    "summary": "record.summary",
    "sweep": "sweeps.sweep",
    "terminal": "project.text",
    "training.ablate": "training.analysis.ablate",
    "training.baseline": "training.evaluation.baseline",
    "training.blast_radius": "training.analysis.blast_radius",
    "training.compare": "cli.compare",
    "training.disturbance": "training.analysis.perturbations",
    "training.draw": "training.plots.run_plots",
    "training.elimination": "training.analysis.backward_elimination",
    "training.ensemble": "training.models.ensemble",
    "training.estimator": "training.models.pipeline",
    "training.experiments": "cli.experiments",
    "training.figures": "training.plots.model_plots",
    "training.figures_of_tasks": "training.analysis.plots",
    "training.fit": "training.models.fit",
    "training.fusion": "training.models.fusion",
    "training.groups": "training.models.groups",
    "training.importance": "training.evaluation.importance",
    "training.in_force": "training.thresholds.active",
    "training.judge": "training.evaluation.evaluate",
    "training.members": "training.models.members",
    "training.network": "training.models.network",
    "training.paired": "training.evaluation.paired_bootstrap",
    "training.predictions": "training.evaluation.predictions",
    "training.price": "training.evaluation.quality_gap",
    "training.progress": "training.evaluation.callbacks",
    "training.repeated": "training.evaluation.cross_validation",
    "training.slices": "training.evaluation.slices",
    "training.threshold": "training.thresholds.policies",
}
"""Modules below `runner`, and names in them, with their place below `ml_experiment_runner`."""


def new_name(name: str) -> str | None:
    """The present dotted name for a former one, or None for any other name."""
    if name.startswith("hydra_plugins.runner_"):
        return f"hydra_plugins.{NEW}.{name.removeprefix('hydra_plugins.runner_')}"
    if name.partition(".")[0] != OLD:
        return None
    parts = name.split(".")[1:]
    for count in range(len(parts), 0, -1):
        module = ".".join(parts[:count])
        if module in MOVED:
            return ".".join([NEW, MOVED[module], *parts[count:]])
    return ".".join([NEW, *parts])


def refuse_old_name(name: str) -> None:
    """Refuses a former name.

    Raises:
        UserError: The name has moved; names the present one.
    """
    if present := new_name(name):
        raise UserError(f"{name} has moved: write {present}")


class Unpickler(pickle.Unpickler):
    """Reads pickles whose classes have moved or were renamed."""

    def find_class(self, module: str, name: str) -> Any:
        """Finds the class by its present name."""
        outer, _, inner = name.partition(".")
        if present := new_name(f"{module}.{outer}"):
            module, _, outer = present.rpartition(".")
        return super().find_class(module, f"{outer}.{inner}" if inner else outer)


class OldNames:
    """A finder of last resort for imports of former names."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """An empty package while the name may continue; else the error with the present name."""
        if name.partition(".")[0] != OLD:
            return None
        below = name.partition(".")[2]
        if below in MOVED and not any(moved.startswith(f"{below}.") for moved in MOVED):
            refuse_old_name(name)
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, _spec: ModuleSpec) -> None:
        """Uses the default module."""

    def exec_module(self, module: ModuleType) -> None:
        """Leaves the module empty; each attribute raises the error with its present name."""

        def missing(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            refuse_old_name(f"{module.__name__}.{name}")

        module.__getattr__ = missing  # type: ignore[method-assign]


def answer_old_imports() -> None:
    """Makes imports of former names fail with the present ones."""
    if not any(isinstance(finder, OldNames) for finder in sys.meta_path):
        sys.meta_path.append(OldNames())
