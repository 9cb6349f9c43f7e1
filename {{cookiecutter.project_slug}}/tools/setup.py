"""Create `.venv` and install exactly what the locks hold. Doing it twice costs nothing."""

import compileall
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from environment import ENVIRONMENT, ROOT, SCRIPTS, python

LOCK = ROOT / "requirements.lock"
LOCKS = [path for path in (LOCK, ROOT / "requirements-example.lock") if path.exists()]
BUILD = ROOT / "src" / "runner" / "requirements-build.lock"
STAMP = ENVIRONMENT / "installed.txt"


def find_uv() -> list[str] | None:
    """The command that runs uv, if it is installed anywhere."""
    for folder in (str(SCRIPTS), None):
        found = shutil.which("uv", path=folder)
        if found:
            return [found]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None


def install_uv() -> list[str]:
    """Install the uv that the lock names with pip."""
    print("Installing uv …", flush=True)
    venv.create(ENVIRONMENT, with_pip=True)
    locked = re.search(r"^uv==(?:.*\\\n)*.*$", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if locked is None:
        sys.exit("requirements.lock does not hold uv: add it to the tools and run make lock.")
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "uv.txt"
        requirement.write_text(locked.group() + "\n", encoding="utf-8")
        command = [python(), "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement"]
        subprocess.run([*command, str(requirement)], check=True)
    return [python(), "-m", "uv"]


def main() -> None:
    """Install, unless these locks are installed already."""
    if not (3, 11) <= sys.version_info < (3, 14):
        sys.exit(f"Python 3.11, 3.12 or 3.13 is needed; this is {sys.version.split()[0]}.")
    content = b"".join(path.read_bytes() for path in (*LOCKS, BUILD))
    wanted = f"{sys.version_info[:2]} {hashlib.sha256(content).hexdigest()}"
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
        print("The environment is up to date.")
        return
    uv = find_uv()
    if uv is None:
        uv = install_uv()
    elif not SCRIPTS.is_dir():
        venv.create(ENVIRONMENT)
    print("Installing what the locks hold into .venv …", flush=True)
    # Bytecode is compiled here, because a session may be told not to write it later.
    command = [*uv, "pip", "sync", "--quiet", "--python", python(), "--require-hashes"]
    command += ["--compile-bytecode", "--build-constraints", str(BUILD), *map(str, LOCKS)]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        print("Trying again with what the cache holds …", flush=True)
        if subprocess.run([*command, "--offline"], cwd=ROOT, check=False).returncode:
            sys.exit("The installation did not work; the lines above say why.")
    compileall.compile_dir(ROOT / "src", quiet=1)
    STAMP.write_text(wanted, encoding="utf-8")
    print("The environment is ready.")


if __name__ == "__main__":
    main()
