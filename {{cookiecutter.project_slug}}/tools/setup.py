"""Create `.venv` and install exactly what the lock and the pin name. A second call does nothing.

    python tools/setup.py boosting          also what an extra of the runner needs
    python tools/setup.py --runner ../tpl   the runner from a checkout (editable) or a wheel
    python tools/setup.py --runner pin      the runner from requirements-runner.txt again
    python tools/setup.py --python -m …     only runs the environment's Python

An extra stays installed until `.venv` is deleted. `.git/config` remembers a checkout or wheel.
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
"""The marker of a requirement of an extra; pip and uv ignore such a requirement."""


class Runner(NamedTuple):
    """Where the runner is installed from.

    Attributes:
        arguments: For `uv pip install`.
        source: For the lock: a requirements file or an address.
        description: For messages.
        state: Changes whenever the runner must be installed again.
    """

    arguments: list[str]
    source: str
    description: str
    state: str


def scripts(root: Path = ROOT) -> Path:
    """The folder of the environment's programs."""
    return root / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")


def python(root: Path = ROOT) -> str:
    """The environment's Python, or the current one if there is no environment."""
    program = scripts(root) / ("python.exe" if sys.platform == "win32" else "python")
    return str(program) if program.exists() else sys.executable


def find_uv(root: Path = ROOT) -> list[str] | None:
    """The command that runs uv, None if it is not installed."""
    for folder in (str(scripts(root)), None):
        program = shutil.which("uv", path=folder)
        if program and works(program):
            return [program]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None


def works(uv: str) -> bool:
    """Whether a program runs; a killed set-up may leave half of it."""
    try:
        return subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def has_environment(root: Path) -> bool:
    """Whether `.venv` is complete."""
    return (scripts(root) / "activate").exists()  # venv writes it last


def install_uv(root: Path, lock: Path) -> list[str]:
    """Install the locked uv with pip."""
    print("Installing uv …", flush=True)
    venv.create(root / ".venv", with_pip=True, clear=not has_environment(root))
    locked = re.search(r"^uv==(?:.*\\\n)*.*$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if locked is None:
        sys.exit(f"{lock.name} does not contain uv: add it to pyproject.toml and run make lock.")
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
    """The extra that a requirement belongs to, None for other requirements."""
    marker = EXTRA.search(entry.partition("\n")[0])
    return marker.group(1) if marker else None


def known_extras(lock: Path) -> list[str]:
    """The extras that have requirements in a lock."""
    extras = map(extra_of, entries(lock.read_text(encoding="utf-8")))
    return sorted({name for name in extras if name})


def with_extras(lock: str, extras: Sequence[str]) -> str:
    """A lock with the requirements of the chosen extras, without their markers, each once."""
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
    requirements = [line for line in map(str.strip, lines) if line and line[0] not in "#-"]
    if len(requirements) != 1:
        sys.exit(f"{pin.name} must name the runner in one line: {NAME} @ git+<address>@<commit>, "
                 f"{NAME}==<version>, or a wheel; got {len(requirements)} lines.")  # fmt: skip
    text = pin.read_text(encoding="utf-8")
    name = requirements[0].partition(" --hash")[0]
    return Runner(["--requirement", str(pin)], str(pin), name, text)


def given(place: Path) -> Runner:
    """The runner in a checkout or a wheel."""
    if place.is_dir() and (place / "pyproject.toml").is_file():
        state = (place / "pyproject.toml").read_text(encoding="utf-8")
        return Runner(["--editable", str(place)], place.as_uri(), f"the checkout {place}", state)
    if place.is_file() and place.suffix == ".whl":
        digest = hashlib.sha256(place.read_bytes()).hexdigest()
        return Runner([str(place)], place.as_uri(), f"the wheel {place}", digest)
    sys.exit(
        f"{place} must be a checkout of the template or a wheel of the runner. Choose another one, "
        f'or the runner that {PIN.name} names: make setup ARGS="--runner pin"'
    )


def git_config(root: Path, *arguments: str) -> str | None:
    """The output of git config for this repository; None if it fails."""
    command = ["git", "config", "--local", *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def remember_runner(root: Path, chosen: str) -> None:
    """Use the runner of a checkout or wheel from now on, or the pinned one again."""
    if chosen == "pin":
        git_config(root, "--unset-all", REMEMBERED)
        return
    place = Path(chosen).expanduser().resolve()
    given(place)  # exits if it is neither
    if git_config(root, REMEMBERED, str(place)) is None:
        print(f"Not a git repository: repeat --runner {chosen} at each set-up.", flush=True)


def runner_of(root: Path = ROOT, chosen: str | None = None) -> Runner:
    """The runner to install: the chosen one, else the remembered one, else the pinned one."""
    place = chosen or git_config(root, "--get", REMEMBERED)
    if place and place != "pin":
        return given(Path(place).expanduser().resolve())
    return pinned(root / PIN.name)


def reason(output: str) -> str:
    """The line of uv's output that explains an error best."""
    lines = [re.sub(r"^[^A-Za-z]+", "", line) for line in output.splitlines()]
    for start in ("fatal:", "ERROR:", "cause:", "Caused by:", "error:"):
        matches = [line for line in lines if line.startswith(start)]
        if matches:
            line = matches[0] if start == "fatal:" else matches[-1]
            return line.partition(":")[2].strip(" .")
    return next((line for line in reversed(lines) if line), "no reason given")


def cannot_install(runner: Runner, error: str) -> str:
    """The message for a runner that cannot be installed, in one line."""
    return (
        f"Cannot install the runner from {runner.description} ({error}). Write a reachable "
        f"address, version or wheel to {PIN.name}, or use a checkout or a wheel: "
        'make setup ARGS="--runner <folder or wheel>"'
    )


def install_runner(root: Path, uv: Sequence[str], runner: Runner) -> None:
    """Install the runner without dependencies: these are installed already, with hashes."""
    command = [*uv, "pip", "install", "--python", python(root), "--no-deps"]
    command += ["--no-build-isolation", "--compile-bytecode", "--reinstall-package", NAME]
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "NO_COLOR": "1"}
    error = ""
    for option in ([], ["--offline"]):  # without network, the cache may contain it
        done = subprocess.run(
            [*command, *runner.arguments, *option], cwd=root, env=quiet, stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
        error = error or reason(done.stderr)
    sys.exit(cannot_install(runner, error))


def install_locked(
    root: Path, uv: Sequence[str], locks: Sequence[Path], extras: Sequence[str]
) -> None:
    """Install exactly the locked packages into `.venv`."""
    print(f"Installing the locked packages into {root / '.venv'} …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for lock in locks:
            files.append(Path(folder, lock.name))
            text = with_extras(lock.read_text(encoding="utf-8"), extras)
            files[-1].write_text(text, encoding="utf-8")
        # Bytecode is compiled now, because later sessions may be configured not to write it. The
        # source distribution is built with the locked setuptools.
        command = [*uv, "pip", "sync", "--quiet", "--python", python(root), "--require-hashes"]
        command += ["--compile-bytecode", "--build-constraints", str(files[0]), *map(str, files)]
        if subprocess.run(command, cwd=root, check=False).returncode:
            print("Trying again offline, from the cache …", flush=True)
            if subprocess.run([*command, "--offline"], cwd=root, check=False).returncode:
                sys.exit("The installation failed; see the lines above.")


def install(
    root: Path, locks: Sequence[Path], runner: Runner | None, extras: Sequence[str] = ()
) -> None:
    """Install the locks and the runner into `root/.venv`, unless it is up to date.

    Args:
        root: The folder that gets the environment.
        locks: Requirements with hashes; the first lock contains uv and setuptools.
        runner: The runner to install, if any.
        extras: The extras whose requirements are installed.
    """
    if not (3, 11) <= sys.version_info < (3, 14):
        sys.exit(f"Python must be 3.11, 3.12 or 3.13, got {sys.version.split()[0]}.")
    stamp = root / ".venv" / "installed.txt"
    note = f"; the runner is {runner.description}" if runner else ""
    content = [path.read_text(encoding="utf-8") for path in locks]
    digest = hashlib.sha256(repr((*sys.version_info[:2], content, runner, extras)).encode())
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest.hexdigest():
        print(f"The environment is up to date{note}.", flush=True)
        return
    stamp.unlink(missing_ok=True)  # until everything is installed, .venv matches no lock
    uv = find_uv(root)
    if uv is None:
        uv = install_uv(root, locks[0])
    elif not has_environment(root):
        venv.create(root / ".venv", clear=True)
    install_locked(root, uv, locks, extras)
    if runner:
        install_runner(root, uv, runner)
    stamp.write_text(digest.hexdigest(), encoding="utf-8")
    print(f"The environment is ready{note}.", flush=True)


def chosen_extras(root: Path, known: Sequence[str], typed: Sequence[str]) -> list[str]:
    """The extras that were typed or were installed before."""
    for name in typed:
        if name not in known:
            sys.exit(f"unknown extra '{name}'; choose from {', '.join(known) or 'none'}.")
    file = root / ".venv" / "extras.txt"
    installed = file.read_text(encoding="utf-8").split() if file.exists() else []
    return [name for name in known if name in {*typed, *installed}]


def remember_extras(root: Path, extras: Sequence[str]) -> None:
    """Remember the installed extras for the next set-up."""
    if extras:
        (root / ".venv" / "extras.txt").write_text("\n".join(extras) + "\n", encoding="utf-8")


def link_source(root: Path) -> None:
    """Add `src` to the environment's path, for notebooks and tools; `run.py` does so itself."""
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    command = [python(root), "-c", script]
    packages = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (Path(packages) / "project.pth").write_text(f"{root / 'src'}\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Set up the environment, or run its Python."""
    parser = argparse.ArgumentParser("tools/setup.py", description="Create or update .venv.")
    parser.add_argument("extras", nargs="*", help="extras of the runner: boosting, deep, ray")
    parser.add_argument("--runner", help="a checkout or a wheel to use from now on, or pin")
    parser.add_argument("--python", nargs=argparse.REMAINDER, help="run the environment's Python")
    options = parser.parse_args(arguments)
    if options.python is not None:
        return subprocess.run([python(), *options.python], cwd=ROOT, check=False).returncode
    if options.runner:
        remember_runner(ROOT, options.runner)
    extras = chosen_extras(ROOT, known_extras(LOCKS[0]), options.extras)
    runner = runner_of(ROOT, options.runner)
    install(ROOT, [lock for lock in LOCKS if lock.exists()], runner, extras)
    remember_extras(ROOT, extras)
    link_source(ROOT)
    compileall.compile_dir(ROOT / "src", quiet=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
