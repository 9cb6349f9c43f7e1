"""Where the project's own Python is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
SCRIPTS = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin")


def python() -> str:
    """The environment's Python, or the one that runs this where there is none."""
    found = next(SCRIPTS.glob("python*"), None) if SCRIPTS.is_dir() else None
    return str(SCRIPTS / "python") if found else sys.executable


if __name__ == "__main__":
    # "python tools/environment.py -m pytest" works in any shell and in a git hook.
    sys.exit(subprocess.run([python(), *sys.argv[1:]], cwd=ROOT, check=False).returncode)
