"""Generate projects as users do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


class Generation(NamedTuple):
    """What one call of cookiecutter did."""

    folder: Path
    output: str
    code: int

    @property
    def project(self) -> Path:
        (project,) = [path for path in self.folder.iterdir() if path.is_dir()]
        return project


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    environment = {**os.environ, **IDENTITY}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


def copy_template(target: Path) -> Path:
    """Copy the files of the working tree that git knows or would take."""
    for name in git(ROOT, "ls-files", "-z", "-co", "--exclude-standard").split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def commit_all(folder: Path, message: str) -> str:
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD").strip()


def run_cookiecutter(template, folder: Path, answers=None, environment=None) -> Generation:
    """Generate as a user without a terminal would."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [f"{key}={value}" for key, value in (answers or {}).items()]
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", *words]
    result = subprocess.run(
        [*command, "--output-dir", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env={**os.environ, **IDENTITY, **(environment or {})},
        cwd=folder,
        check=False,
    )
    return Generation(folder, result.stdout, result.returncode)


CHECKS = {
    "style": ["-m", "ruff", "check", "--no-cache", "."],
    "format": ["-m", "ruff", "format", "--no-cache", "--check", "."],
    "types": ["-m", "mypy", "--cache-dir", str(ROOT / "build" / "mypy")],
}
