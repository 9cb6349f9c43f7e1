"""What tests share: projects, servers, stores and pages to test with."""

import os
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"


def _installation() -> Path:
    """A folder that says of the runner what an installation of this tree would.

    Processes with it on their path find the runner's entry points and requirements.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        "Metadata-Version: 2.1",
        "Name: ml-experiment-runner",
        f"Version: {project['version']}",
    ]
    lines += [f"Requires-Dist: {each}" for each in project.get("dependencies", [])]
    for extra, requirements in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        for each in requirements:
            package, _, marker = each.partition(";")
            also = f" and ({marker.strip()})" if marker else ""
            lines.append(f"Requires-Dist: {package}; extra == '{extra}'{also}")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project.get("entry-points", {}).items()
    ]
    place = ROOT / "build" / "installation"
    information = place / f"ml_experiment_runner-{project['version']}.dist-info"
    information.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("METADATA", "\n".join([*lines, ""])),
        ("entry_points.txt", "".join(points)),
    ):
        whole = information / f"{name}.{os.getpid()}"  # other sessions write it at the same time
        whole.write_text(text, encoding="utf-8")
        whole.replace(information / name)
    return place


INSTALLATION = _installation()


def python_path(project: Path | None = None) -> str:
    """PYTHONPATH for a process: the runner of this tree, before it the package of a project."""
    own = [] if project is None else [project / "src"]
    return os.pathsep.join(map(str, [*own, SOURCE, INSTALLATION]))
