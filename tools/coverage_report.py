"""Run tests and say which lines of the runner they reach, also in processes that they start.

    python tools/coverage_report.py [tests …]    without a name: all that `make test` runs

Writes `build/coverage/html/`, and what each file lacks.
"""

import subprocess
import sys

from prepare import ROOT, prepare, python, run


def main() -> None:
    """Run, put the processes' data together, report; fails where a test has failed."""
    prepare()
    (ROOT / "build" / "coverage").mkdir(parents=True, exist_ok=True)
    run("-m", "coverage", "erase")
    command = [python(ROOT), "-m", "coverage", "run", "-m", "pytest", "-n", "3", *sys.argv[1:]]
    tests = subprocess.run(command, cwd=ROOT, check=False)
    run("-m", "coverage", "combine", "--quiet")
    run("-m", "coverage", "html", "--quiet")
    run("-m", "coverage", "report", "--skip-covered", "--sort", "cover")
    sys.exit(tests.returncode)


if __name__ == "__main__":
    main()
