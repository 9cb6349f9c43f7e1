"""Create `.venv` and install exactly what the lock and the pin hold. Doing it twice costs nothing.

    python tools/setup.py boosting          also what an extra of the runner needs
    python tools/setup.py --runner ../tpl   the runner from a checkout (editable) or a wheel
    python tools/setup.py --runner pin      the runner from requirements-runner.txt again
    python tools/setup.py --python -m …     no set-up: runs the environment's Python

An extra that was installed once stays; it is gone with `.venv`. `.git/config` remembers a checkout
or wheel.
"""

import argparse
import compileall
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-example.lock"]
PIN = ROOT / "requirements-runner.txt"
NAME = "ml-experiment-runner"
REMEMBERED = "ml-experiment.runner"
EXTRA = re.compile(r"""(?: and )?\(?extra == ['"]([\w-]+)['"]\)?""")
"""The marker of a requirement that only an extra brings; plain pip and uv pass it over."""


class Runner(NamedTuple):
    """Where the runner comes from: in words for uv, for the lock, and for a person."""

    words: list[str]
    source: str
    told: str
    state: str


def scripts(root: Path = ROOT) -> Path:
    """The folder of the environment's programs."""
    return root / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")


def python(root: Path = ROOT) -> str:
    """The environment's Python, or the one that runs this where there is none."""
    found = scripts(root) / ("python.exe" if sys.platform == "win32" else "python")
    return str(found) if found.exists() else sys.executable


def find_uv(root: Path = ROOT) -> list[str] | None:
    """The command that runs uv, if it is installed anywhere."""
    for folder in (str(scripts(root)), None):
        found = shutil.which("uv", path=folder)
        if found and works(found):
            return [found]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None


def works(uv: str) -> bool:
    """Whether it is a whole program; a set-up that was killed may leave a part of one."""
    try:
        return subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def has_environment(root: Path) -> bool:
    """Whether `.venv` was made to its end."""
    return (scripts(root) / "activate").exists()  # what venv writes last


def install_uv(root: Path, lock: Path) -> list[str]:
    """Install the uv that the lock names with pip."""
    print("Installing uv …", flush=True)
    venv.create(root / ".venv", with_pip=True, clear=not has_environment(root))
    locked = re.search(r"^uv==(?:.*\\\n)*.*$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if locked is None:
        sys.exit(f"{lock.name} does not hold uv: add it to pyproject.toml and lock again.")
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "uv.txt"
        requirement.write_text(locked.group() + "\n", encoding="utf-8")
        command = [python(root), "-m", "pip", "install", "--quiet", "--require-hashes"]
        subprocess.run([*command, "--requirement", str(requirement)], check=True)
    return [python(root), "-m", "uv"]


def entries(lock: str) -> list[str]:
    """The requirements of a lock, each with its hashes."""
    return re.findall(r"^[A-Za-z0-9][^\n]*\n(?:[ \t][^\n]*\n)*", lock, re.MULTILINE)


def extra_of(entry: str) -> str | None:
    """The extra that alone brings a requirement."""
    found = EXTRA.search(entry.partition("\n")[0])
    return found.group(1) if found else None


def known_extras(lock: Path) -> list[str]:
    """The extras that a lock holds requirements for."""
    found = map(extra_of, entries(lock.read_text(encoding="utf-8")))
    return sorted({name for name in found if name})


def with_extras(lock: str, extras: Sequence[str]) -> str:
    """A lock in which the chosen extras are no condition any more, each requirement once."""
    chosen: list[str] = []
    for entry in entries(lock):
        extra = extra_of(entry)
        if extra is None:
            chosen.append(entry)
        elif extra in extras:
            first, end, rest = entry.partition("\n")
            first = EXTRA.sub("", first).replace("; and ", "; ").replace(" ;  \\", " \\")
            chosen.append(re.sub(r" ;\s*\\$", " \\\\", first) + end + rest)
    return "".join(dict.fromkeys(chosen))


def pinned(pin: Path) -> Runner:
    """The runner that the pin names."""
    lines = pin.read_text(encoding="utf-8").splitlines() if pin.exists() else []
    named = [line.strip() for line in lines if line.strip() and line.lstrip()[0] not in "#-"]
    if len(named) != 1:
        sys.exit(f"{pin.name} has to name the runner in one line: {NAME} @ git+<address>@<commit>, "
                 f"{NAME}==<version>, or a wheel.")  # fmt: skip
    text = pin.read_text(encoding="utf-8")
    return Runner(["--requirement", str(pin)], str(pin), named[0].partition(" --hash")[0], text)


def given(place: Path) -> Runner:
    """The runner of a checkout or in a wheel."""
    if place.is_dir() and (place / "pyproject.toml").is_file():
        state = (place / "pyproject.toml").read_text(encoding="utf-8")
        return Runner(["--editable", str(place)], place.as_uri(), f"the checkout {place}", state)
    if place.is_file() and place.suffix == ".whl":
        digest = hashlib.sha256(place.read_bytes()).hexdigest()
        return Runner([str(place)], place.as_uri(), f"the wheel {place}", digest)
    sys.exit(
        f"{place} is neither a checkout of the template nor a wheel of the runner. Take another, "
        f'or what {PIN.name} names: make setup ARGS="--runner pin"'
    )


def git_config(root: Path, *words: str) -> str | None:
    """What git's configuration of this repository answers; None where there is none."""
    command = ["git", "config", "--local", *words]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def remember_runner(root: Path, asked: str) -> None:
    """Take the runner from a folder or wheel from now on, or from the pin again."""
    if asked == "pin":
        git_config(root, "--unset-all", REMEMBERED)
        return
    place = Path(asked).expanduser().resolve()
    given(place)  # refused, it is not remembered
    if git_config(root, REMEMBERED, str(place)) is None:
        print(f"This is no repository of git: say --runner {asked} each time.", flush=True)


def runner_of(root: Path = ROOT, asked: str | None = None) -> Runner:
    """Where the runner comes from: what is asked for, what is remembered, or what the pin names."""
    place = asked or git_config(root, "--get", REMEMBERED)
    if place and place != "pin":
        return given(Path(place).expanduser().resolve())
    return pinned(root / PIN.name)


def reason(output: str) -> str:
    """The line of uv's output that says most about what went wrong."""
    lines = [re.sub(r"^[^A-Za-z]+", "", line) for line in output.splitlines()]
    for start in ("fatal:", "ERROR:", "cause:", "Caused by:", "error:"):
        found = [line for line in lines if line.startswith(start)]
        if found:
            line = found[0] if start == "fatal:" else found[-1]
            return line.partition(":")[2].strip(" .")
    return next((line for line in reversed(lines) if line), "no reason given")


def out_of_reach(runner: Runner, why: str) -> str:
    """One line on a runner that cannot be installed: what was tried, and what to do."""
    return (
        f"The runner cannot be had from {runner.told} ({why}). Write an address, version or wheel "
        f"that can be reached into {PIN.name}, or take a checkout or a wheel: "
        'make setup ARGS="--runner <folder or wheel>"'
    )


def install_runner(root: Path, uv: Sequence[str], runner: Runner) -> None:
    """Install the runner alone: all that it needs is there, and was checked by its hashes."""
    command = [*uv, "pip", "install", "--python", python(root), "--no-deps"]
    command += ["--no-build-isolation", "--compile-bytecode", "--reinstall-package", NAME]
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "NO_COLOR": "1"}
    why = ""
    for more in ([], ["--offline"]):  # the cache may hold what the network does not give
        done = subprocess.run(
            [*command, *runner.words, *more], cwd=root, env=quiet, stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
        why = why or reason(done.stderr)
    sys.exit(out_of_reach(runner, why))


def install_locked(
    root: Path, uv: Sequence[str], locks: Sequence[Path], extras: Sequence[str]
) -> None:
    """Make `.venv` hold what the locks hold, and nothing else."""
    print(f"Installing what the lock holds into {root / '.venv'} …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for lock in locks:
            files.append(Path(folder, lock.name))
            text = with_extras(lock.read_text(encoding="utf-8"), extras)
            files[-1].write_text(text, encoding="utf-8")
        # Bytecode is compiled here, because a session may be told not to write it later. A source
        # distribution is built with the setuptools that the lock pins.
        command = [*uv, "pip", "sync", "--quiet", "--python", python(root), "--require-hashes"]
        command += ["--compile-bytecode", "--build-constraints", str(files[0]), *map(str, files)]
        if subprocess.run(command, cwd=root, check=False).returncode:
            print("Trying again with what the cache holds …", flush=True)
            if subprocess.run([*command, "--offline"], cwd=root, check=False).returncode:
                sys.exit("The installation did not work; the lines above say why.")


def install(
    root: Path, locks: Sequence[Path], runner: Runner | None, extras: Sequence[str] = ()
) -> None:
    """Make `root/.venv` hold what the locks hold and the runner, unless it does already.

    Args:
        root: The folder that gets the environment.
        locks: Hash-pinned requirements; the first one names uv and setuptools.
        runner: Where the runner comes from.
        extras: What to install of the requirements that belong to an extra.
    """
    if not (3, 11) <= sys.version_info < (3, 14):
        sys.exit(f"Python 3.11, 3.12 or 3.13 is needed; this is {sys.version.split()[0]}.")
    stamp = root / ".venv" / "installed.txt"
    told = f"; the runner is {runner.told}" if runner else ""
    content = [path.read_text(encoding="utf-8") for path in locks]
    wanted = hashlib.sha256(repr((*sys.version_info[:2], content, runner, extras)).encode())
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted.hexdigest():
        print(f"The environment is up to date{told}.", flush=True)
        return
    stamp.unlink(missing_ok=True)  # until all is installed, the locks say nothing of what is there
    uv = find_uv(root)
    if uv is None:
        uv = install_uv(root, locks[0])
    elif not has_environment(root):
        venv.create(root / ".venv", clear=True)
    install_locked(root, uv, locks, extras)
    if runner:
        install_runner(root, uv, runner)
    stamp.write_text(wanted.hexdigest(), encoding="utf-8")
    print(f"The environment is ready{told}.", flush=True)


def chosen_extras(root: Path, known: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The extras that are asked for or were installed before."""
    for name in asked:
        if name not in known:
            sys.exit(f"{name}: no such extra. There is: {', '.join(known) or 'none'}.")
    noted = root / ".venv" / "extras.txt"
    before = noted.read_text(encoding="utf-8").split() if noted.exists() else []
    return [name for name in known if name in {*asked, *before}]


def remember_extras(root: Path, extras: Sequence[str]) -> None:
    """Note what was installed, for the next time."""
    if extras:
        (root / ".venv" / "extras.txt").write_text("\n".join(extras) + "\n", encoding="utf-8")


def link_source(root: Path) -> None:
    """Let notebooks and tools import what is in `src`, as `run.py` does."""
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    command = [python(root), "-c", script]
    packages = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (Path(packages) / "project.pth").write_text(f"{root / 'src'}\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Set the environment up, or run its Python."""
    parser = argparse.ArgumentParser("tools/setup.py", description="Create .venv, or complete it.")
    parser.add_argument("extras", nargs="*", help="of the runner: boosting, deep, ray")
    parser.add_argument("--runner", help="a checkout or a wheel from now on, or pin again")
    parser.add_argument("--python", nargs=argparse.REMAINDER, help="runs the environment's Python")
    words = parser.parse_args(arguments)
    if words.python is not None:
        return subprocess.run([python(), *words.python], cwd=ROOT, check=False).returncode
    if words.runner:
        remember_runner(ROOT, words.runner)
    extras = chosen_extras(ROOT, known_extras(LOCKS[0]), words.extras)
    install(ROOT, [lock for lock in LOCKS if lock.exists()], runner_of(ROOT, words.runner), extras)
    remember_extras(ROOT, extras)
    link_source(ROOT)
    compileall.compile_dir(ROOT / "src", quiet=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
