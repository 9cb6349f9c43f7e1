"""Create the template's `.venv`: what a generated project needs, and the tools for work here."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ROOT / "{{cookiecutter.project_slug}}"
sys.path.insert(0, str(GENERATED / "tools"))

from environment import python  # noqa: E402
from setup import BUILD, LOCKS, find_uv, install  # noqa: E402

BOOSTING = GENERATED / "requirements-boosting.lock"
DEVELOPMENT = ROOT / "requirements-dev.lock"


def prepare() -> str:
    """Install what is missing and give the environment's Python."""
    install(ROOT, [*LOCKS, BOOSTING, DEVELOPMENT], BUILD)
    return python(ROOT)


def run(*arguments: str, folder: Path = ROOT) -> None:
    """Run the environment's Python, and leave as it leaves where it fails."""
    result = subprocess.run([python(ROOT), *arguments], cwd=folder, check=False)
    if result.returncode:
        sys.exit(result.returncode)


__all__ = ["BUILD", "GENERATED", "LOCKS", "ROOT", "find_uv", "install", "prepare", "python", "run"]

if __name__ == "__main__":
    prepare()
    if sys.argv[1:]:
        run(*sys.argv[1:])
