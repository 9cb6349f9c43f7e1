"""Where the project's own Python is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def scripts(root: Path = ROOT) -> Path:
    """The folder of the environment's programs."""
    return root / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")


def python(root: Path = ROOT) -> str:
    """The environment's Python, or the one that runs this where there is none."""
    found = scripts(root) / ("python.exe" if sys.platform == "win32" else "python")
    return str(found) if found.exists() else sys.executable


if __name__ == "__main__":
    # "python tools/environment.py -m pytest" works in any shell and in a git hook.
    sys.exit(subprocess.run([python(), *sys.argv[1:]], cwd=ROOT, check=False).returncode)
