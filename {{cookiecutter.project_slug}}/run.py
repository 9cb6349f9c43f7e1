"""The one entry point: `python run.py` lists what can be run."""

import sys
from pathlib import Path

try:
    from ml_experiment_runner.cli.app import main
except ModuleNotFoundError as missing:
    if missing.name != "ml_experiment_runner":
        raise
    sys.exit("The runner is not installed here: make setup, then source .venv/bin/activate")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parent))
