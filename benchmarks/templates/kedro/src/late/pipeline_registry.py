"""The pipelines: training as it comes, and one that records as much as the other template does."""

from kedro.pipeline import Node, Pipeline

from late.nodes import FIGURES, evaluate, fit, measure, split

FEATURES = ["params:categories", "params:numbers"]
TRAINING = Pipeline(
    [
        Node(split, ["table", "params:label", *FEATURES], ["train", "validation", "test"]),
        Node(
            fit,
            ["train", *FEATURES, "params:C", "params:max_iter", "params:seed"],
            ["fitted", "model"],
        ),
        Node(measure, ["fitted", "validation", "test"], ["scores", "metrics"]),
    ]
)
EVALUATION = Pipeline(
    [
        Node(
            evaluate,
            [
                "fitted", "scores", "validation", "test", *FEATURES, "params:replicates",
                "params:importance_rows", "params:importance_repeats", "params:seed",
            ],
            ["intervals", *(f"figure_{name}" for name in FIGURES)],
        )
    ]
)  # fmt: skip


def register_pipelines() -> dict[str, Pipeline]:
    return {"__default__": TRAINING, "evaluated": TRAINING + EVALUATION}
