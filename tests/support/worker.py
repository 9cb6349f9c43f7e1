"""A little run, without Hydra: `worker.py place=<folder> points=10 seconds=1 model=own …`."""

import logging
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ml_experiment_runner.record.run import Run
from ml_experiment_runner.record.sync.client import SyncClient

options = dict(word.split("=", 1) for word in sys.argv[1:])
place = Path(options["place"])
logging.basicConfig(level=logging.INFO)


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise TypeError("no text")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def model(kind: str) -> tuple[Any, Any, Any]:
    import polars
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    frame = polars.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
    label = [0, 0, 1, 1]
    estimator: Any
    if kind == "own":
        from own_package.estimators import Always

        estimator = Always(1).fit(frame, label)
    elif kind == "lambda":  # What skops cannot save.
        estimator = make_pipeline(FunctionTransformer(lambda x: x), LogisticRegression())
        estimator.fit(frame, label)
    else:
        estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, label)
    return estimator, frame.head(2), estimator.predict(frame.head(2))


def work(run: Run) -> None:
    points = int(options.get("points", 10))
    seconds = float(options.get("seconds", 0))
    if "inline" in options:
        os.environ["MLFLOW_RUN_ID"] = run.mlflow_run_id()
        os.environ["MLFLOW_TRACKING_URI"] = run.config.tracking.uri
        import mlflow

        with mlflow.start_run():
            mlflow.log_metric("said_inline", 1.0)
            if "model" in options:  # a model of the user's own, beside the run's
                mlflow.create_external_model("own", source_run_id=run.mlflow_run_id())
    run.log_metrics({"nothing": float("nan"), "endless": float("inf")})
    run.log_dataset("flights", "1.0.0", "0" * 32 + ".dir", "raw.csv", 5, "training", {"a": "Int8"})
    if "model" in options:
        run.log_model(*model(options["model"]))
    with run.stage("loop"):
        for step in range(points):
            run.log_metric("loss", 1 / (step + 1), step)
            if seconds:
                time.sleep(seconds / points)
    while "until" in options and not Path(options["until"]).exists():
        time.sleep(0.05)
    print("said on stdout")
    run.log_text("hello", "notes/hello.txt")
    if "nested" in options:
        nest(run)
    end(options.get("end"))


def end(how: str | None) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "unspeakable":
        raise UnspeakableError
    if how == "fail":
        raise ZeroDivisionError("no way to divide")


def nest(run: Run) -> None:
    """A run within it that goes well, and one that fails."""
    with run.nested("well") as child:
        child.log_metric("depth", 1)
    try:
        with run.nested("badly", OmegaConf.merge(run.config, {"seed": 8})):
            raise ZeroDivisionError("no way to divide")
    except ZeroDivisionError:
        run.log_metric("survived", 1)


def main() -> None:
    signal.signal(signal.SIGTERM, interrupt)
    config = OmegaConf.create(
        {
            "project": "little",
            "package": "own_package",
            "seed": 7,
            "threads": 1,
            "outputs": str(place / "outputs"),
            "task": {"_target_": "own_package.task", "uses": ["model"]},
            "tracking": {"uri": f"sqlite:///{place}/mlflow.db", "inline": False},
            "model": {"_target_": "x.Y", "C": 0.5, "names": ["a", "b"]},
        }
    )
    if "uri" in options:
        config.tracking.uri = options["uri"]
    if "key" in options:
        config.model.key = options["key"]
    client = SyncClient.start(config)
    identities = []
    patience = None
    for turn in range(int(options.get("runs", 1))):
        name = f"10-00-00-{secrets.token_hex(4)}"
        folder = place / "outputs" / "baseline" / "2026-01-01" / name
        run = Run.start(config, folder, sys.argv, ["model.C=0.5"], client)
        identities.append(run.id)
        print("started", run.id, flush=True)
        try:
            work(run)
        except KeyboardInterrupt as error:
            run.finish("KILLED", error)
            patience = 1.0
        except Exception as error:
            run.finish("FAILED", error)
        else:
            run.finish("FINISHED")
        if "again" in options:
            if turn == 0:
                client.wait(identities)  # from now on it is at work
            time.sleep(turn * float(options["again"]))
            run = Run.resume(config, folder, client)
            run.log_tag("again", "yes")
            run.finish("FINISHED")
    ended = time.perf_counter()
    if "nested" in options:
        identities = [each.id for each in run.family()]
    print(client.wait(identities, patience) or "synced")
    print(f"waited {time.perf_counter() - ended:.3f}")
    print("mlflow imported" if "mlflow" in sys.modules else "no mlflow")


main()
