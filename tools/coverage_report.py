"""Run tests and say which lines of the runner they reach, also in processes that they start.

    python tools/coverage_report.py [tests …]    without a name: all that `make test` runs

Writes `build/coverage/html/`, and what each file lacks.
"""

import sys

from prepare import ROOT, prepare, run


def main() -> None:
    """Run, put the processes' data together, report."""
    prepare()
    (ROOT / "build" / "coverage").mkdir(parents=True, exist_ok=True)
    run("-m", "coverage", "erase")
    run("-m", "coverage", "run", "-m", "pytest", "-n", "3", *sys.argv[1:])
    run("-m", "coverage", "combine", "--quiet")
    run("-m", "coverage", "html", "--quiet")
    run("-m", "coverage", "report", "--skip-covered", "--sort", "cover")


if __name__ == "__main__":
    main()
