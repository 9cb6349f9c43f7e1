"""Update the project to a newer version of the template, with its runner and packages."""

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.installed_runner import DISTRIBUTION
from ml_experiment_runner.project.repository import git, root
from ml_experiment_runner.project.runner_pin import PIN

CRUFT = "cruft@2.16.0"
STATE = ".cruft.json"


def update(arguments: list[str]) -> int:
    """Merges the template's changes with cruft, moves the pin, locks and installs.

    Returns:
        1 if cruft fails or files have conflicts.
    """
    parser = argparse.ArgumentParser(
        "python run.py update",
        description=__doc__,
        epilog="Further arguments go to cruft: --checkout v0.3.0 updates to that version.",
    )
    _, cruft_arguments = parser.parse_known_args(arguments)
    before, old_changelog = state(root()), changelog()
    refuse_code(before)
    command = [*_uv(), "tool", "run", "--quiet", CRUFT, "update", "--skip-apply-ask"]
    if subprocess.run([*command, *cruft_arguments], cwd=root(), check=False).returncode:
        if git(root(), "status", "--porcelain"):
            print("The working tree has changes, maybe of an interrupted update: commit them, or "
                  "stash them with git stash -u, then update again.")  # fmt: skip
        return 1
    after = state(root())
    if before.get("commit") != after.get("commit") and (note := move_pin(root(), after)):
        print(note)
    if paths := conflicts(root()):
        print("Conflicts in these files; resolve them, then run make lock setup test")
        print("\n".join(f"  {path}" for path in paths))
        return 1
    for script in ("lock.py", "setup.py"):
        done = subprocess.run([sys.executable, f"tools/{script}"], cwd=root(), check=False)
        if done.returncode:
            return done.returncode
    importlib.invalidate_caches()
    if entries := new_entries(old_changelog, changelog()):
        print("\nNew in the runner:", *entries, sep="\n")
    print("\nReview the changes with git diff HEAD, run the tests, and commit.")
    return 0


def _uv() -> list[str]:
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    if program := shutil.which("uv"):
        return [program]
    raise UserError("uv is not installed: run make setup first")


def state(project: Path) -> dict[str, Any]:
    """The template of the project, its commit and the answers.

    Raises:
        UserError: The file is missing or invalid.
    """
    path = project / STATE
    if not path.is_file():
        raise UserError(
            f"{STATE} is missing, so the template of this project is unknown. "
            "Link it once: uvx cruft link <URL of the template>"
        )
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{STATE} cannot be read ({error}); see git log -p {STATE}") from None


def refuse_code(state: dict[str, Any]) -> None:
    """Refuses answers that contain template syntax, which an update would run.

    Raises:
        UserError: An answer contains template syntax.
    """
    # dumped again, which unescapes braces
    if any(opening in json.dumps(state) for opening in ("{" + "{", "{" + "%", "{" + "#")):
        raise UserError(
            f"{STATE}: an answer contains template syntax, which the update would run as code.\n"
            f"See its author with git log -p {STATE}, and replace it by plain text."
        )


def conflicts(project: Path) -> list[str]:
    """The files that could not be merged, and the files of rejected changes."""
    unmerged = git(project, "diff", "--name-only", "--relative", "--diff-filter=U") or ""
    paths = [path.relative_to(project) for path in project.rglob("*.rej")]
    rejected = [path.as_posix() for path in paths if path.parts[0] not in (".git", ".venv")]
    return sorted({*unmerged.splitlines(), *rejected})


def move_pin(project: Path, after: dict[str, Any]) -> str | None:
    """Moves the pin with the template: to its commit at the same address, or to its version.

    Returns:
        What a person must do, if the pin names neither a commit nor a version.
    """
    path = project / PIN
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    version = after.get("context", {}).get("cookiecutter", {}).get("_version", "")
    moved = moved_pin(text, after["commit"], version)
    if moved is None:
        return f"{PIN} names neither commit nor version: check that it is runner {version}."
    path.write_text(moved, encoding="utf-8", newline="\n")
    return None


def moved_pin(text: str, commit: str, version: str) -> str | None:
    """The text of the pin's file with a newer commit or version, None if it names neither."""
    for pattern, newer in (
        (rf"^({DISTRIBUTION}\S*\s*@\s*git\+\S+@)[0-9a-f]{{40}}\b", commit),
        (rf"^({DISTRIBUTION}\S*?\s*==\s*)[^\s;\\]+(?:[ \t]*\\?\n?[ \t]+--hash=\S+)*", version),
    ):
        moved, count = re.subn(pattern, rf"\g<1>{newer}", text, flags=re.MULTILINE)
        if count and newer:
            return moved
    return None


def changelog() -> str:
    """The changelog of the installed runner."""
    try:
        description = importlib.metadata.metadata(DISTRIBUTION)["Description"] or ""
    except importlib.metadata.PackageNotFoundError:
        return ""
    return description.partition("\n# Changelog\n")[2]


def new_entries(before: str, after: str) -> list[str]:
    """New entries of the changelog, each below the title of its version."""
    old_entries, lines = set(_entries(before)), []
    for section in re.split(r"^(?=## )", after, flags=re.MULTILINE):
        entries = [entry for entry in _entries(section) if entry not in old_entries]
        if entries:
            lines += [section.partition("\n")[0].lstrip("# "), *entries]
    return lines


def _entries(text: str) -> list[str]:
    return [entry.rstrip() for entry in re.findall(r"^- .*(?:\n  .*)*", text, re.MULTILINE)]
