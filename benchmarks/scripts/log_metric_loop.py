"""A training loop that logs each step with `mlflow.log_metric`."""

import sys
import time

import mlflow

address, points = sys.argv[1], int(sys.argv[2])
mlflow.set_tracking_uri(address)
mlflow.set_experiment("benchmark")
with mlflow.start_run():
    begin = time.perf_counter()
    for step in range(points):
        mlflow.log_metric("loss", 1 / (step + 1), step)
    print(f"loop took {time.perf_counter() - begin:.6f} s")
