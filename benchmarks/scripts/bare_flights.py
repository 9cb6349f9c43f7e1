"""Will a flight be late? Trains and judges a model; no framework, files in one folder."""

import argparse
import json
import pickle
import time
from pathlib import Path

import polars as pl
from evaluation import draw_figures, judge, learn_threshold, permutation_importance, save_figures
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

CATEGORIES = ["carrier", "origin", "destination"]
NUMBERS = [
    "departure_hour",
    "departure_minute_of_day",
    "departure_weekday",
    "distance",
    "scheduled_minutes",
]
FEATURES = [*NUMBERS[:3], *CATEGORIES, *NUMBERS[3:]]
REQUIREMENTS = "numpy\npolars\nscikit-learn\n"
SEED = 0


def job(
    data: Path,
    output: Path,
    strength: float = 1.0,
    max_iter: int = 300,
    replicates: int = 500,
    importance_rows: int = 2000,
) -> None:
    """Trains and judges one model."""
    frame = pl.read_parquet(data)
    parts = {}
    for part in ("train", "validation", "test"):
        rows = frame.filter(pl.col("split") == part)
        parts[part] = rows.select(FEATURES), rows["late"].to_numpy()

    print(f"fit begins at {time.time():.3f}", flush=True)
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20), CATEGORIES),
            (
                make_pipeline(
                    SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler()
                ),
                NUMBERS,
            ),
        ),
        LogisticRegression(C=strength, max_iter=max_iter, random_state=SEED),
    )
    model.fit(*parts["train"])

    scores = {part: model.predict_proba(parts[part][0])[:, 1] for part in ("validation", "test")}
    threshold = learn_threshold(parts["validation"][1], scores["validation"])
    metrics = {"threshold": threshold}
    for part, score in scores.items():
        judged = judge(parts[part][1], score, threshold, replicates, SEED)
        metrics |= {f"{part}/{name}": value for name, value in judged.items()}
    features, label = parts["test"]
    drops = permutation_importance(model, features, label, importance_rows, 5, SEED)
    figures = draw_figures(
        (parts["validation"][1], scores["validation"]),
        (label, scores["test"]),
        threshold,
        FEATURES,
        drops,
    )

    output.mkdir(parents=True)
    (output / "metrics.json").write_text(json.dumps(metrics, indent=2))
    save_figures(figures, output)
    (output / "model.pkl").write_bytes(pickle.dumps(model, protocol=5))
    (output / "requirements.txt").write_text(REQUIREMENTS)
    parts["train"][0].head(5).write_parquet(output / "input_example.parquet")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--max-iter", type=int, default=300)
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--importance-rows", type=int, default=2000)
    job(**vars(parser.parse_args()))
