"""The same join by Feast; arguments: the snapshots' folder, the store's type, a folder for it."""

import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64
from measured import measure

data, kind, home = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
home.mkdir(parents=True, exist_ok=True)
entity = Entity(name="store", join_keys=["store"], value_type=ValueType.INT64)
views = []
for number in range(1, 6):
    # Feast knows no delay: it gets the time at which a value is known, and one file, beforehand
    path = home / f"signal_{number}.parquet"
    frame = pq.read_table(data / f"signal_{number}").to_pandas()
    frame["known"] = frame.pop("at") + pd.Timedelta(hours=number)
    frame = frame.rename(columns={"value": f"value_{number}"})
    frame.to_parquet(path, index=False)
    views.append(
        FeatureView(
            name=f"signal_{number}",
            entities=[entity],
            ttl=timedelta(days=30),
            schema=[Field(name=f"value_{number}", dtype=Float64)],
            source=FileSource(path=str(path), timestamp_field="known"),
        )
    )
    del frame
store = FeatureStore(
    config=RepoConfig(
        project="orders",
        provider="local",
        registry=str(home / "registry.db"),
        offline_store={"type": kind},
        online_store={"type": "sqlite", "path": str(home / "online.db")},
        entity_key_serialization_version=3,
    )
)
store.apply([entity, *views])


def join() -> pd.DataFrame:
    columns = ["at", "store", "amount", "returned"]
    orders = pq.read_table(data / "orders", columns=columns).to_pandas()
    orders = orders.rename(columns={"at": "event_timestamp"})
    wanted = [f"signal_{number}:value_{number}" for number in range(1, 6)]
    return store.get_historical_features(entity_df=orders, features=wanted).to_df()


measure(join)
