"""Types commands in one process, in the project that is the working directory, and runs no task.

Reads lists of words from standard input, one JSON line each; prints the exit code, or a traceback,
with what stood on standard error and the configuration that would have run.
"""

import contextlib
import io
import json
import sys
import traceback

sys.path.insert(0, "src")

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.cli import app
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.sweeps import session

checked: list[object] = []


def check_only(self: session.Session, config: DictConfig) -> None:
    """Stands in for a run: checks what a run checks before it begins."""
    try:
        session.check_job(config)
    except UserError as error:
        self.errors.append(error)
        print(error, file=sys.stderr)
    else:
        checked.append(OmegaConf.to_container(config))


session.Session.job = check_only
for line in sys.stdin:
    GlobalHydra.instance().clear()
    checked.clear()
    errors, code = io.StringIO(), None
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            code = app.main(json.loads(line))
        except SystemExit as left:
            code = left.code
        except BaseException:
            code = traceback.format_exc()
    print(json.dumps({"code": code, "errors": errors.getvalue(), "checked": checked}), flush=True)
