"""What tests share: projects, servers, stores and pages to test with."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"


def python_path(project: Path) -> str:
    """PYTHONPATH for a process in a project: its own package, and the runner of this tree."""
    return os.pathsep.join([str(project / "src"), str(SOURCE)])
