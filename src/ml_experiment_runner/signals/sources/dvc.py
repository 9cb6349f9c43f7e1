"""Files of another team's DVC repository, as they were at a revision."""

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.sources import file_locations, files

# the words come on stdin: an address may hold a token, and everyone sees a command line
_GET = "import json, sys; from dvc.cli import main; sys.exit(main(json.load(sys.stdin)))"


def read(contract: Contract, since: datetime | None) -> pl.DataFrame:  # noqa: ARG001
    """All rows of a file or a folder of files that DVC tracks there."""
    options = contract.source_configuration.resolved()
    location = options["location"]
    if (contract.root / location).is_dir():
        location = str(contract.root / location)
    with tempfile.TemporaryDirectory() as folder:
        got = Path(folder) / "got"
        arguments = ["get", location, options["path"], "--rev", options["rev"], "--out", str(got)]
        done = subprocess.run(
            [sys.executable, "-c", _GET],
            input=json.dumps(arguments),
            env={**os.environ, "DVC_NO_ANALYTICS": "1"},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise contract.mistake(
                f"{contract.source} cannot be fetched ({_reason(contract, done.stderr)})",
                f"Correct signals/{contract.path.name}, or ask {contract.owner_and_contact}",
            )
        with files.source_errors(contract):
            data_files = [file_locations.File(got, contract.source)]
            if got.is_dir():
                data_files = file_locations.in_folder(got, contract.source, contract.format)
            return files.frame(data_files, contract)


def _reason(contract: Contract, output: str) -> str:
    errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    lines = errors or output.strip().splitlines() or ["it gave no reason"]
    return contract.source_configuration.hide(lines[-1].removeprefix("ERROR: ").strip())
