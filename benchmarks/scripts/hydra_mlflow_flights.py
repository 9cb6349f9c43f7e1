"""Will a flight be late? The same with Hydra for the configuration and MLflow for the record."""

import time

import hydra
import mlflow
import mlflow.data
import mlflow.sklearn
import polars as pl
from evaluation import draw_figures, judge, learn_threshold, permutation_importance
from hydra.utils import instantiate
from mlflow.models import infer_signature
from omegaconf import DictConfig, OmegaConf
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def flat(node: dict, prefix: str = "") -> dict:
    """Nested keys as `group.key`."""
    result = {}
    for key, value in node.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


@hydra.main(version_base="1.3", config_path="conf", config_name="hydra_mlflow_flights")
def main(config: DictConfig) -> None:
    mlflow.set_tracking_uri(config.tracking_uri)
    mlflow.set_experiment(config.experiment)
    with mlflow.start_run():
        mlflow.log_params(flat(OmegaConf.to_container(config, resolve=True)))

        frame = pl.read_parquet(config.data)
        source = mlflow.data.from_polars(
            frame, source=config.data, targets=config.label, name="flights"
        )
        mlflow.log_input(source, context="training")
        features = [*config.categories, *config.numbers]
        parts = {}
        for part in ("train", "validation", "test"):
            rows = frame.filter(pl.col("split") == part)
            parts[part] = rows.select(features), rows[config.label].to_numpy()

        print(f"fit begins at {time.time():.3f}", flush=True)
        encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)
        filler = SimpleImputer(add_indicator=True, keep_empty_features=True)
        model = make_pipeline(
            make_column_transformer(
                (encoder, list(config.categories)),
                (make_pipeline(filler, StandardScaler()), list(config.numbers)),
            ),
            instantiate(config.model),
        )
        model.fit(*parts["train"])
        example = parts["train"][0].head(5).to_pandas()
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(example, model.predict_proba(parts["train"][0].head(5))),
            input_example=example,
            pip_requirements=["numpy", "pandas", "polars", "scikit-learn", "skops"],
            skops_trusted_types=["numpy.dtype"],
            pyfunc_predict_fn="predict_proba",
        )

        scores = {
            part: model.predict_proba(parts[part][0])[:, 1] for part in ("validation", "test")
        }
        threshold = learn_threshold(parts["validation"][1], scores["validation"])
        metrics = {"threshold": threshold}
        for part, score in scores.items():
            judged = judge(parts[part][1], score, threshold, config.replicates, config.seed)
            metrics |= {f"{part}/{name}": value for name, value in judged.items()}
        mlflow.log_metrics(metrics)
        table, label = parts["test"]
        drops = permutation_importance(
            model, table, label, config.importance_rows, config.importance_repeats, config.seed
        )
        figures = draw_figures(
            (parts["validation"][1], scores["validation"]),
            (label, scores["test"]),
            threshold,
            features,
            drops,
        )
        for name, figure in figures.items():
            mlflow.log_figure(figure, f"figures/{name}.png")


if __name__ == "__main__":
    main()
