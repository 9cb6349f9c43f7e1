"""Kills commands at any of their steps: at each change of a file, as if by SIGKILL.

Or lets another command run at any step of the first, as if both were typed at once.

Started as a process of its own, it imports what the commands need once, and forks for every command
that it reads from its input.
"""

import filecmp
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self

WRITING = os.O_WRONLY | os.O_RDWR
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink")
READS = ("os.listdir", "os.scandir")
KILLED = -signal.SIGKILL if os.name != "nt" else 1

SOURCE = Path(__file__).resolve().parents[2] / "src"


class Ended(NamedTuple):
    """How a command ended: its exit code, what it printed, and how many steps it made."""

    code: int
    output: str
    steps: int


class Commands:
    """Runs commands in projects; use it as a context.

    Args:
        modules: What the commands would spend their time with importing.
    """

    def __init__(self, *modules: str) -> None:
        self._modules = modules

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "DVC_NO_ANALYTICS": "1"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def run(
        self, root: Path, code: str, at: int = 0, meanwhile: str = "", in_dvc: bool = False
    ) -> Ended:
        """Runs a command.

        Args:
            root: The project.
            code: Python; what it raises is shown as the app shows it.
            at: The step that it is killed at, the first one is 1; 0 for none.
            meanwhile: What another process does at this step instead; then reading has steps, too.
            in_dvc: Whether what DVC does has steps, too.
        """
        assert self._process.stdin
        assert self._process.stdout
        asked = {"root": str(root), "code": code, "at": at}
        asked |= {"meanwhile": meanwhile, "in_dvc": in_dvc}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return Ended(*json.loads(self._process.stdout.readline()))

    def killed(
        self, before: Path, code: str, steps: Iterable[int], in_dvc: bool = False
    ) -> Iterator[tuple[int, Path]]:
        """Copies of a project in which a command was killed, one for each of the steps."""
        steps = list(steps)
        assert steps, "a command without steps is never killed"
        for step in steps:
            root = before.with_name("killed")
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(before, root, symlinks=True)
            ended = self.run(root, code, step, in_dvc=in_dvc)
            assert ended.code == KILLED, f"step {step} of {ended.steps}: {ended.output}"
            yield step, root


def differences(one: Path, other: Path, ignored: Callable[[str], bool]) -> list[str]:
    """Files that differ between two folders, or are in one of them only."""
    names = {
        path.relative_to(folder).as_posix()
        for folder in (one, other)
        for path in folder.rglob("*")
        if not path.is_dir() or not any(path.iterdir())
    }
    return [
        name for name in sorted(names)
        if not ignored(name) and not _is_same(one / name, other / name)
    ]  # fmt: skip


def _is_same(one: Path, other: Path) -> bool:
    if one.is_dir() or other.is_dir():
        return one.is_dir() and other.is_dir()
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


class _Steps:
    """Counts what is about to change a file, and dies at one of them.

    To open a file for writing is two: the file may be there, and empty.
    """

    def __init__(self, root: str, at: int, meanwhile: str) -> None:
        self.root, self.at, self.meanwhile, self.made, self.pauses = root, at, meanwhile, 0, False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        reads = READS if self.meanwhile else ()
        if self.pauses or event not in ("open", *CHANGES, *reads):
            return
        path, flags = arguments[0], arguments[-1]
        if isinstance(path, int) or path is None:
            return
        if event == "open" and not flags & WRITING and not self.meanwhile:
            return
        path = os.fsdecode(path)
        if Path(path).is_absolute() and not path.startswith(self.root + os.sep):
            return
        if path.endswith("/.index/lock"):  # taking it changes nothing
            return
        self._step()
        if self.meanwhile:
            return
        if event == "open" and flags & (os.O_TRUNC | os.O_CREAT) and not flags & os.O_APPEND:
            if self.made + 1 == self.at:
                self.pauses = True
                os.open(path, flags, 0o666)
            self._step()

    def _step(self) -> None:
        self.made += 1
        if self.made != self.at:
            return
        if not self.meanwhile:
            os.kill(os.getpid(), signal.SIGKILL)
        self.pauses = True
        if not (pid := os.fork()):
            os._exit(_run(self.meanwhile))
        if os.waitpid(pid, 0)[1]:
            os.kill(os.getpid(), signal.SIGABRT)
        self.pauses = False


def _serve() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as steps:
            pid = os.fork()
            if not pid:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                _end(asked, steps.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            output.seek(0)
            steps.seek(0)
            text = output.read().decode()
            print(json.dumps([code, text, int(steps.read() or 0)]), flush=True)


def _end(asked: dict[str, Any], answer: int) -> NoReturn:
    """Runs a command in the forked process, and ends it."""
    from dvc.cli import main as dvc

    import ml_experiment_runner.signals.snapshots.writer as publishing

    root = Path(asked["root"])
    os.chdir(root)
    os.environ["ML_EXPERIMENT_ROOT"] = str(root)
    steps = _Steps(str(root), asked["at"], asked["meanwhile"])

    def in_process(_: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        steps.pauses = not asked["in_dvc"]
        code = dvc(list(arguments))
        steps.pauses = False
        return subprocess.CompletedProcess(arguments, code, "", "dvc failed")

    publishing.run_dvc = in_process
    code = _run(asked["code"])
    steps.pauses = True
    os.write(answer, str(steps.made).encode())
    os._exit(code)


def _run(code: str) -> int:
    """Runs Python; what it raises ends it as it ends the app."""
    from ml_experiment_runner.project.errors import UserError

    try:
        exec(code, {})
    except UserError as error:
        print(error)
        return 2
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    _serve()
