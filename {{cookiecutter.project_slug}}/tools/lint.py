"""Check style, format, types and layers; with names of checks, only those."""

import os
import subprocess
import sys

from environment import ROOT, python

CHECKS = {
    "style": ["-m", "ruff", "check", "--quiet", "."],
    "format": ["-m", "ruff", "format", "--quiet", "--check", "."],
    "types": ["-m", "mypy", "--no-error-summary"],
    "layers": ["-c", "from importlinter.cli import lint_imports_command as check; check()"],
}


def main(names: list[str]) -> int:
    """Run the checks and say which found something."""
    failed = []
    for name in names or CHECKS:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1"}
        result = subprocess.run(
            [python(), *CHECKS[name]],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        print(f"{name}: {'something to do' if result.returncode else 'fine'}", flush=True)
        if result.returncode:
            print(result.stdout + result.stderr, flush=True)
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
