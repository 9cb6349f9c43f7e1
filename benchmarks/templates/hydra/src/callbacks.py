"""A checkpoint, as it comes; and an evaluation that records as much as the other template does."""

import pickle
from pathlib import Path

from src.data import TableDataModule
from src.model import TabularModel


class Checkpoint:
    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_fit_end(self, logger, model: TabularModel, data: TableDataModule) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "last.ckpt").write_bytes(pickle.dumps(model.pipeline, protocol=5))

    def on_test_end(self, logger, model: TabularModel, data: TableDataModule) -> None:
        pass


class Evaluation:
    def __init__(
        self, replicates: int, importance_rows: int, importance_repeats: int, seed: int
    ) -> None:
        self.replicates = replicates
        self.importance = (importance_rows, importance_repeats, seed)
        self.seed = seed

    def on_fit_end(self, logger, model: TabularModel, data: TableDataModule) -> None:
        import mlflow.sklearn
        from mlflow.models import infer_signature

        features = data.part("train")[0].head(5)
        example = features.to_pandas()
        mlflow.sklearn.log_model(
            model.pipeline,
            name="model",
            signature=infer_signature(example, model.pipeline.predict_proba(features)),
            input_example=example,
            pip_requirements=["numpy", "pandas", "polars", "scikit-learn", "skops"],
            skops_trusted_types=["numpy.dtype"],
            pyfunc_predict_fn="predict_proba",
        )
        source = mlflow.data.from_polars(data.frame, source=data.path, targets=data.label)
        mlflow.log_input(source, context="training")

    def on_test_end(self, logger, model: TabularModel, data: TableDataModule) -> None:
        import mlflow
        from evaluation import draw_figures, judge, learn_threshold, permutation_importance

        parts = {part: data.part(part) for part in ("validation", "test")}
        scores = {part: model.score(features) for part, (features, _) in parts.items()}
        threshold = learn_threshold(parts["validation"][1], scores["validation"])
        metrics = {"threshold": threshold}
        for part, score in scores.items():
            judged = judge(parts[part][1], score, threshold, self.replicates, self.seed)
            metrics |= {f"{part}/{name}": value for name, value in judged.items()}
        logger.log_metrics(metrics)
        features, label = parts["test"]
        drops = permutation_importance(model.pipeline, features, label, *self.importance)
        figures = draw_figures(
            (parts["validation"][1], scores["validation"]), (label, scores["test"]), threshold,
            data.features, drops,
        )  # fmt: skip
        for name, figure in figures.items():
            mlflow.log_figure(figure, f"figures/{name}.png")
