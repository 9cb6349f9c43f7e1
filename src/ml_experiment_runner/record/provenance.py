"""Provenance: what a run was made from; git is asked in a thread beside the run."""

import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ml_experiment_runner.project.installed_runner import installed_runner, runner_with_state
from ml_experiment_runner.project.runner_pin import pin_line
from ml_experiment_runner.project.secrets import mask_addresses

LARGEST_FILE = 5 * 1024 * 1024
"""Bytes; a larger untracked file is named instead of being in the patch."""

LARGEST_SUM = 20 * 1024 * 1024
"""Bytes of all untracked files in the patch; the others are named."""

_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def machine() -> dict[str, Any]:
    """What is known at once: Python, platform, machine."""
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "hostname": socket.gethostname(),
        "cpu_count": os.cpu_count(),
    }


def lock_file(root: Path) -> tuple[Path, str] | None:
    """The requirements lock and its SHA-256, if there is one."""
    path = root / "requirements.lock"
    if not path.is_file():
        return None
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def extras() -> list[str]:
    """The runner's extras that were chosen when this environment was set up."""
    file = Path(sys.prefix, "extras.txt")  # written by tools/setup.py
    return sorted(file.read_text(encoding="utf-8").split()) if file.is_file() else []


def _runner(root: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """What is recorded of a runner: how it was installed, and the line that pins it."""
    facts = {name: value for name, value in facts.items() if name != "package"}
    if line := pin_line(root):
        facts["pin"] = mask_addresses(line)
    if "address" in facts:
        facts["address"] = mask_addresses(facts["address"])
    return facts


class Git(threading.Thread):
    """Reads commit, uncommitted changes and the runner's origin in the background.

    Each is handed over as soon as it is known.

    Attributes:
        knows_changes: Whether all that the project's git says has been handed over.

    Args:
        root: The project's root.
        outputs: The folder for runs, which stays out of the patch.
        note: Called with name and value: runner, extras, git_commit, git_dirty, git_left_out.
        patch: Called with the uncommitted changes, untracked files included, if there are any.
    """

    def __init__(
        self,
        root: Path,
        outputs: Path,
        note: Callable[[str, Any], None],
        patch: Callable[[bytes], None],
    ) -> None:
        super().__init__(name="provenance", daemon=True)
        self._root, self._outputs, self._note, self._patch = root, outputs, note, patch
        self.knows_changes = False

    def run(self) -> None:
        """What the thread does."""
        runner = installed_runner()
        self._note("extras", extras())
        self._note("runner", _runner(self._root, runner))
        self._read_project()
        self.knows_changes = True
        if runner["source"] == "folder":  # last: it asks git again, and reads all of the code
            with suppress(OSError):
                self._note("runner", _runner(self._root, runner_with_state()))

    def _read_project(self) -> None:
        """Commit and uncommitted changes of the project."""
        try:
            commit = self._git("rev-parse", "--verify", "-q", "HEAD").decode().strip()
            index = self._git("rev-parse", "--git-path", "index").decode().strip()
        except OSError:
            self._note("git_commit", "none: git is not installed")
            return
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace").strip().partition("\n")[0]
            self._note("git_commit", f"none: {reason or 'not a git repository'}")
            return
        self._note("git_commit", commit or "none: nothing committed yet")
        try:
            changes = self._changes(commit or _EMPTY_TREE, self._root / index)
        except (OSError, subprocess.CalledProcessError) as error:
            self._note("git_dirty", f"not known: {error}")
            return
        with suppress(OSError):  # the run may have ended without waiting any longer
            self._note("git_dirty", bool(changes))
            if changes:
                self._patch(changes)

    def _changes(self, base: str, index: Path) -> bytes:
        """All uncommitted changes, found with a copy of the index: the user's is not touched."""
        with tempfile.TemporaryDirectory(prefix="runner-") as folder:
            copy = Path(folder) / "index"
            if index.is_file():
                shutil.copyfile(index, copy)
            environment = {"GIT_INDEX_FILE": str(copy)}
            # Relative to the top, because the project may be one folder of a larger repository.
            listing = ("ls-files", "--others", "--exclude-standard", "--full-name", "-z", ":/")
            files = self._git(*listing, environment=environment).split(b"\0")
            top = Path(os.fsdecode(self._git("rev-parse", "--show-toplevel").rstrip(b"\r\n")))
            included: list[bytes] = []
            remaining = LARGEST_SUM
            left_out: list[str] = []
            for file in filter(None, files):
                path = top / os.fsdecode(file)
                if path.is_relative_to(self._outputs):
                    continue
                size = path.lstat().st_size
                if size > min(LARGEST_FILE, remaining):
                    left_out.append(os.fsdecode(file))
                else:
                    remaining -= size
                    included.append(b":(top,literal)" + file)
            if left_out:
                self._note("git_left_out", left_out)
            if included:
                add = ("add", "-N", "--pathspec-from-file=-", "--pathspec-file-nul")
                self._git(*add, environment=environment, stdin=b"\0".join(included))
            return self._git(
                *("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color"),
                *("--src-prefix=a/", "--dst-prefix=b/", base),
                environment=environment,
            )

    def _git(
        self, *arguments: str, environment: dict[str, str] | None = None, stdin: bytes = b""
    ) -> bytes:
        """Run git in the root; an empty answer to `rev-parse -q` means that there is no commit."""
        completed = subprocess.run(
            ["git", *arguments],
            cwd=self._root,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", **(environment or {})},
            input=stdin,
            capture_output=True,
            start_new_session=True,  # Ctrl-C is for the run, not for git.
        )
        no_commit = completed.returncode == 1 and arguments[0] == "rev-parse"
        if not no_commit:
            completed.check_returncode()
        return completed.stdout
