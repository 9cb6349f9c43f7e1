"""The same loop as a task of a generated project; it stands there in `src/flight_delays/`."""

import os
import time

from omegaconf import DictConfig

from ml_experiment_runner.record.run import Run


def points(_: DictConfig, run: Run) -> dict[str, float]:
    """Records the metric `loss` step by step."""
    print(f"loop begins at {time.time():.3f}")
    begin = time.perf_counter()
    for step in range(int(os.environ["POINTS"])):
        run.log_metric("loss", 1 / (step + 1), step)
    print(f"loop took {time.perf_counter() - begin:.6f} s")
    return {}
