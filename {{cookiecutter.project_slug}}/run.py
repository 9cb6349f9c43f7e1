"""The one entry point: `python run.py` lists what can be run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from runner.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
