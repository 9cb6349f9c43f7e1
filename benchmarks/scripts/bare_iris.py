"""Is it virginica? Trains and judges a model; no framework, files in one folder."""

import argparse
import json
import pickle
import time
from pathlib import Path

import polars as pl
from evaluation import draw_figures, judge, learn_threshold, permutation_importance, save_figures
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
REQUIREMENTS = "numpy\npolars\nscikit-learn\n"
SEED = 0

parser = argparse.ArgumentParser()
parser.add_argument("data", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--strength", type=float, default=1.0)
parser.add_argument("--replicates", type=int, default=500)
arguments = parser.parse_args()

frame = pl.read_parquet(arguments.data)
parts = {}
for part in ("train", "validation", "test"):
    rows = frame.filter(pl.col("split") == part)
    parts[part] = rows.select(FEATURES), rows["is_virginica"].to_numpy()

print(f"fit begins at {time.time():.3f}", flush=True)
model = make_pipeline(
    SimpleImputer(add_indicator=True, keep_empty_features=True),
    StandardScaler(),
    LogisticRegression(C=arguments.strength, max_iter=300, random_state=SEED),
)
model.fit(*parts["train"])

scores = {part: model.predict_proba(parts[part][0])[:, 1] for part in ("validation", "test")}
threshold = learn_threshold(parts["validation"][1], scores["validation"])
metrics = {"threshold": threshold}
for part, score in scores.items():
    judged = judge(parts[part][1], score, threshold, arguments.replicates, SEED)
    metrics |= {f"{part}/{name}": value for name, value in judged.items()}
features, label = parts["test"]
drops = permutation_importance(model, features, label, 2000, 5, SEED)
figures = draw_figures(
    (parts["validation"][1], scores["validation"]),
    (label, scores["test"]),
    threshold,
    FEATURES,
    drops,
)

arguments.output.mkdir(parents=True)
(arguments.output / "metrics.json").write_text(json.dumps(metrics, indent=2))
save_figures(figures, arguments.output)
(arguments.output / "model.pkl").write_bytes(pickle.dumps(model, protocol=5))
(arguments.output / "requirements.txt").write_text(REQUIREMENTS)
parts["train"][0].head(5).write_parquet(arguments.output / "input_example.parquet")
