"""Run `python run.py update` with the project's own Python."""

import subprocess
import sys

from setup import ROOT, python

if __name__ == "__main__":
    command = [python(), "run.py", "update", *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
