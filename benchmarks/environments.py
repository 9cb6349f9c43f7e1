"""Environments of their own for what ours is compared with: installed once, in `build/`."""

import shutil
import subprocess
import sys
from pathlib import Path

from projects import ROOT


def install(title: str, lock: Path, module: str) -> str | None:
    """The Python that has a module and what the lock holds; None where it does not install."""
    folder = ROOT / "build" / lock.stem
    python = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    if (folder / "complete").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    print(f"Installing {title} …", flush=True)
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [python, "-m", "pip", "install", "--quiet", "--requirement", str(lock)],
        [python, "-c", f"import {module}"],
    ):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            print(f"skipped: {title}, which does not install here\n{result.stderr[-500:]}")
            return None
    (folder / "complete").touch()
    return python
