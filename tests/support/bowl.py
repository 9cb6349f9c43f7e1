"""A task of a user's own that takes no time: how deep a bowl is at x."""

from support.journey import Project

TASK = """\
# how deep a bowl is
_target_: flight_delays.bowl.bowl
parameters:
  x: 0.0
  way: round
  steps: 0
  seconds: 0.0
"""

CODE = '''\
"""How deep a bowl is."""

import math
import os
import signal
import time

from omegaconf import DictConfig

from ml_experiment_runner.training.pruning import report
from ml_experiment_runner.record.run import Run


def bowl(config: DictConfig, run: Run) -> dict[str, float]:
    """The height above the ground, deepest at x = 2."""
    asked = config.task.parameters
    height = (asked.x - 2) ** 2
    for step in range(asked.steps):
        report(run, height + 1 / (step + 1), step)
    time.sleep(asked.seconds)
    if asked.way == "broken":
        raise RuntimeError("the bowl is broken")
    if asked.way == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"height/log_loss": math.nan if asked.way == "undefined" else height}
'''

BOWL = ("task=bowl", "objective=height/log_loss")  # of a log loss, less is better
X = "task.parameters.x"


def write_bowl(project: Project) -> Project:
    """Adds the task to a project."""
    project.write("conf/task/bowl.yaml", TASK)
    project.write("src/flight_delays/bowl.py", CODE)
    return project
