"""A table of flowers, as in the README of a project without an example."""

import polars
from sklearn.datasets import load_iris


def write_flowers(path) -> None:
    iris = load_iris()
    names = [iris.target_names[target] for target in iris.target]
    frame = polars.DataFrame(iris.data, schema=["sepal_length", "sepal_width", "petal_length", "w"])
    frame = frame.with_columns(species=polars.Series(map(str, names))).with_row_index("flower")
    path.parent.mkdir(parents=True)
    frame.select("flower", "petal_length", "species").write_csv(path)
