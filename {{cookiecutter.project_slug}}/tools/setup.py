"""Create `.venv` and install exactly what the locks hold. Doing it twice costs nothing.

Arguments name extras, the files in `src/runner/extras`: `python tools/setup.py boosting`. An extra
that was installed once stays; it is gone with `.venv`.
"""

import compileall
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from environment import ROOT, python, scripts

LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-example.lock"]
BUILD = ROOT / "src" / "runner" / "requirements-build.lock"


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
        sys.exit(f"{lock.name} does not hold uv: add it to the requirements and lock again.")
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "uv.txt"
        requirement.write_text(locked.group() + "\n", encoding="utf-8")
        command = [python(root), "-m", "pip", "install", "--quiet", "--require-hashes"]
        subprocess.run([*command, "--requirement", str(requirement)], check=True)
    return [python(root), "-m", "uv"]


def install(root: Path, locks: Sequence[Path], build: Path) -> None:
    """Make `root/.venv` hold what the locks hold, unless it does already.

    Args:
        root: The folder that gets the environment.
        locks: Hash-pinned requirements; the first one names uv.
        build: What source distributions are built with.
    """
    if not (3, 11) <= sys.version_info < (3, 14):
        sys.exit(f"Python 3.11, 3.12 or 3.13 is needed; this is {sys.version.split()[0]}.")
    stamp = root / ".venv" / "installed.txt"
    content = b"".join(path.read_bytes() for path in (*locks, build))
    wanted = f"{sys.version_info[:2]} {hashlib.sha256(content).hexdigest()}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        print("The environment is up to date.", flush=True)
        return
    stamp.unlink(missing_ok=True)  # until all is installed, the locks say nothing of what is there
    uv = find_uv(root)
    if uv is None:
        uv = install_uv(root, locks[0])
    elif not has_environment(root):
        venv.create(root / ".venv", clear=True)
    print(f"Installing what the locks hold into {root / '.venv'} …", flush=True)
    # Bytecode is compiled here, because a session may be told not to write it later.
    command = [*uv, "pip", "sync", "--quiet", "--python", python(root), "--require-hashes"]
    command += ["--compile-bytecode", "--build-constraints", str(build), *map(str, locks)]
    if subprocess.run(command, cwd=root, check=False).returncode:
        print("Trying again with what the cache holds …", flush=True)
        if subprocess.run([*command, "--offline"], cwd=root, check=False).returncode:
            sys.exit("The installation did not work; the lines above say why.")
    stamp.write_text(wanted, encoding="utf-8")
    print("The environment is ready.", flush=True)


def chosen_extras(root: Path, asked: Sequence[str]) -> list[str]:
    """The extras that are asked for or were installed before."""
    known = sorted(path.stem for path in (root / "src" / "runner" / "extras").glob("*.txt"))
    for name in asked:
        if name not in known:
            sys.exit(f"{name}: no such extra. There is: {', '.join(known)}.")
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


if __name__ == "__main__":
    chosen = chosen_extras(ROOT, sys.argv[1:])
    locks = [*LOCKS, *(ROOT / f"requirements-{name}.lock" for name in chosen)]
    install(ROOT, [path for path in locks if path.exists()], BUILD)
    remember_extras(ROOT, chosen)
    link_source(ROOT)
    compileall.compile_dir(ROOT / "src", quiet=1)
