"""Bring in the template's newer version and its runner, then lock and install what they need."""

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
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.runner_pin import PIN

CRUFT = "cruft@2.16.0"
NAME = "ml-experiment-runner"
STATE = ".cruft.json"


def update(arguments: list[str]) -> int:
    """Updates, or says which files need a person; what is not known here goes to cruft."""
    parser = argparse.ArgumentParser(
        "python run.py update",
        description=f"{__doc__} Further words go to cruft: --checkout v0.3.0 takes that version.",
    )
    _, words = parser.parse_known_args(arguments)
    before, known = state(root()), changelog()
    refuse_code(before)
    command = [*_uv(), "tool", "run", "--quiet", CRUFT, "update", "--skip-apply-ask", *words]
    if subprocess.run(command, cwd=root(), check=False).returncode:
        if _changed(root()):
            print("The working tree has changes: commit them, or put them away: git stash -u\n"
                  "Of an update that was interrupted, too; then run it again.")  # fmt: skip
        return 1
    after = state(root())
    if before.get("commit") != after.get("commit") and (note := move_pin(root(), after)):
        print(note)
    if left := conflicts(root()):
        print("Both you and the template changed these; resolve them, then: make lock setup test")
        print("\n".join(f"  {path}" for path in left))
        return 1
    for script in ("lock.py", "setup.py"):
        done = subprocess.run([sys.executable, f"tools/{script}"], cwd=root(), check=False)
        if done.returncode:
            return done.returncode
    importlib.invalidate_caches()
    if news := new_entries(known, changelog()):
        print("\nWhat is new of the runner:", *news, sep="\n")
    print("\nSee what changed with git diff HEAD, run the tests, and commit.")
    return 0


def _uv() -> list[str]:
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    if found := shutil.which("uv"):
        return [found]
    raise UserError("uv is not installed: run make setup first")


def state(project: Path) -> dict[str, Any]:
    """What the project remembers of its template.

    Raises:
        UserError: It remembers nothing, or the file is broken.
    """
    path = project / STATE
    if not path.is_file():
        raise UserError(
            f"There is no {STATE}: the project does not know its template. "
            "Tell it once with: uvx cruft link <URL of the template>"
        )
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{STATE} cannot be read ({error}); see git log -p {STATE}") from None


def refuse_code(state: dict[str, Any]) -> None:
    """Refuses answers with template syntax, which an update would run.

    Raises:
        UserError: An answer holds some.
    """
    # written anew, so that an escaped brace is one too
    if any(opening in json.dumps(state) for opening in ("{" + "{", "{" + "%", "{" + "#")):
        raise UserError(
            f"{STATE}: an answer holds template syntax, which the update would run as code.\n"
            f"See who wrote it with git log -p {STATE}, and replace it by plain text."
        )


def _changed(project: Path) -> bool:
    command = ["git", "status", "--porcelain"]
    return bool(subprocess.run(command, cwd=project, capture_output=True, check=False).stdout)


def conflicts(project: Path) -> list[str]:
    """The files that git could not merge."""
    command = ["git", "diff", "--name-only", "--relative", "--diff-filter=U"]
    unmerged = subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8",
                              check=True)  # fmt: skip
    rejected = [path.relative_to(project) for path in project.rglob("*.rej")]
    ours = [path.as_posix() for path in rejected if path.parts[0] not in (".git", ".venv")]
    return sorted({*unmerged.stdout.splitlines(), *ours})


def move_pin(project: Path, after: dict[str, Any]) -> str | None:
    """Moves the pin with the template: to its commit at the same address, or to its version.

    Returns:
        What a person has to do, where the pin is of a kind that says nothing of the template.
    """
    path = project / PIN
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    version = after.get("context", {}).get("cookiecutter", {}).get("_version", "")
    moved = moved_pin(text, after["commit"], version)
    if moved is None:
        return f"{PIN} names neither commit nor version: see that it holds runner {version}."
    path.write_text(moved, encoding="utf-8", newline="\n")
    return None


def moved_pin(text: str, commit: str, version: str) -> str | None:
    """The file of the pin with a newer commit or version; its address stays."""
    for pattern, newer in (
        (rf"^({NAME}\S*\s*@\s*git\+\S+@)[0-9a-f]{{40}}\b", commit),
        (rf"^({NAME}\S*?\s*==\s*)[^\s;\\]+(?:[ \t]*\\?\n?[ \t]+--hash=\S+)*", version),
    ):
        moved, count = re.subn(pattern, rf"\g<1>{newer}", text, flags=re.MULTILINE)
        if count and newer:
            return moved
    return None


def changelog() -> str:
    """The changelog of the runner that is installed."""
    try:
        about = importlib.metadata.metadata(NAME)["Description"] or ""
    except importlib.metadata.PackageNotFoundError:
        return ""
    return about.partition("\n# Changelog\n")[2]


def new_entries(before: str, after: str) -> list[str]:
    """Entries of the changelog that were not there before, under the versions they belong to."""
    known, lines = set(_entries(before)), []
    for section in re.split(r"^(?=## )", after, flags=re.MULTILINE):
        news = [entry for entry in _entries(section) if entry not in known]
        if news:
            lines += [section.partition("\n")[0].lstrip("# "), *news]
    return lines


def _entries(text: str) -> list[str]:
    return [found.rstrip() for found in re.findall(r"^- .*(?:\n  .*)*", text, re.MULTILINE)]
