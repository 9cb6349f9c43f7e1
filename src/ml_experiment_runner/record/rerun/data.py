"""Checks the recorded snapshots out into a rerun's worktree."""

import re
import shutil
from pathlib import Path

from ml_experiment_runner.project.dvc import run_dvc
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.record.run_reader import RecordedRun


def bring_data(recorded: RecordedRun, project: Path) -> None:
    """Put the recorded snapshots into a project, from this repository's DVC cache or its remote.

    Args:
        recorded: The run.
        project: The worktree's folder that holds `run.py`.
    """
    artifacts = recorded.folder / "artifacts"
    kept = sorted([*artifacts.glob("signals/*.dvc"), *artifacts.glob("versions/*/*")])
    if not kept:
        return
    targets = []
    for path in kept:
        target = project / "data" / path.relative_to(artifacts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        if path.suffix == ".dvc":
            targets.append(target.relative_to(project).as_posix())
    local = root() / ".dvc" / "config.local"
    if local.is_file():  # This machine's remotes and their credentials.
        shutil.copyfile(local, project / ".dvc" / "config.local")
    cache = run_dvc(root(), ["cache", "dir"]).stdout.strip()
    run_dvc(project, ["config", "--local", "cache.dir", cache])
    if run_dvc(project, ["checkout", "--quiet", *targets]).returncode:
        _point_to_remotes(project)
        pulled = run_dvc(project, ["pull", "--quiet", *targets])
        if pulled.returncode:
            print("note: neither DVC's cache nor its remote has all of the recorded data; what is "
                  "missing is ingested again from its source")  # fmt: skip
    names = [target.removeprefix("data/").removesuffix(".dvc") for target in targets]
    names = [name.removeprefix("signals/").removeprefix("versions/") for name in names]
    print(f"data: {', '.join(names)} as recorded")


def _point_to_remotes(project: Path) -> None:
    """Correct the paths of remotes that are relative to this repository."""
    for line in run_dvc(root(), ["remote", "list"]).stdout.splitlines():
        remote = re.fullmatch(r"(\S+)\s+(.*?)(?:\s+\(default\))?", line)
        if remote and "://" not in remote[2]:
            run_dvc(project, ["remote", "modify", "--local", remote[1], "url", remote[2]])
