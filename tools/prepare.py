"""Create the template's `.venv`: a project's packages, tools, and the runner, editable."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ROOT / "{{cookiecutter.project_slug}}"
sys.path.insert(0, str(GENERATED / "tools"))

from setup import find_uv, given, install, python  # noqa: E402

LOCKS = [
    GENERATED / "requirements.lock",
    GENERATED / "requirements-example.lock",
    ROOT / "requirements-dev.lock",
]


def prepare() -> str:
    """Install what is missing; return the environment's Python."""
    install(ROOT, LOCKS, given(ROOT), ["boosting"])
    return python(ROOT)


def run(*arguments: str, folder: Path = ROOT) -> None:
    """Run the environment's Python, and exit with its code if it fails."""
    result = subprocess.run([python(ROOT), *arguments], cwd=folder, check=False)
    if result.returncode:
        sys.exit(result.returncode)


__all__ = ["GENERATED", "LOCKS", "ROOT", "find_uv", "install", "prepare", "python", "run"]

if __name__ == "__main__":
    prepare()
    if sys.argv[1:]:
        run(*sys.argv[1:])
