"""Snapshots of orders and five signals about stores, as receiving them would leave them."""

import sys

import numpy as np
import polars as pl

sys.path.insert(0, "src")
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import snapshot

START = 1_672_531_200_000_000  # 2023, a year of whole seconds
TIME = pl.Datetime("us", "UTC")


def main(rows: int, per_store: int) -> None:
    """Each store has so many orders a year and, of each signal, a value for ten of them."""
    contracts = read_contracts(root())
    rng = np.random.default_rng(0)
    stores = max(rows // per_store, 1)

    def times(count: int) -> pl.Series:
        seconds = rng.integers(0, 365 * 86_400, count) * 1_000_000
        return pl.Series(START + seconds).cast(TIME)

    orders = pl.DataFrame(
        {
            "at": times(rows),
            "order": np.arange(rows),
            "store": rng.integers(0, stores, rows),
            "amount": rng.random(rows),
            "returned": rng.random(rows) < 0.3,
        }
    )
    write(contracts["orders"], orders)
    del orders
    for number in range(1, 6):
        count = rows // 10
        signal = pl.DataFrame(
            {
                "store": rng.integers(0, stores, count),
                "at": times(count),
                "value": rng.random(count),
            }
        )
        write(contracts[f"signal_{number}"], signal.unique(["store", "at"]))


def write(contract, frame) -> None:
    folder = snapshot.home(root()) / contract.name
    folder.mkdir(parents=True)
    for name, part in snapshot.by_partition(contract, frame.sort(contract.key)).items():
        part.write_parquet(
            folder / f"{name}.parquet", compression="zstd", compression_level=3, statistics=True,
            row_group_size=1 << 20,
        )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
