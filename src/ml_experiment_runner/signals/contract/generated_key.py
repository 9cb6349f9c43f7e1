"""A key for tables that have none: a text for all that a row holds.

It depends on the row alone, not on its place. So rows that come in another order are the same, and
a row in which a value is corrected is another.
"""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Collection

import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract

PROPERTY = "generatedKey"
DIGEST = 16  # bytes: two rows of a trillion share one with a chance of one in 10^14


def add(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Rows with their generated key, if their contract has one.

    The key is a digest of the row's values in the contract's order of fields; the second of rows
    that are the same in all ends in `-2`, the third in `-3`.

    Args:
        frame: The fields that come from the source, in the contract's types.
        contract: Says what the field is called, and where it stands.
    """
    for position, field in enumerate(contract.fields):
        if field.generated:
            values = pl.Series(field.name, _digests(frame), pl.String)
            return frame.clone().insert_column(position, values)
    return frame


def free_name(taken: Collection[str]) -> str:
    """What a draft calls the field, beside fields of these names."""
    return next(name for end in itertools.count() if (name := f"row_key{end or ''}") not in taken)


def _digests(frame: pl.DataFrame) -> list[str]:
    # times as whole numbers: how Python writes them is nothing to rely on
    plain = frame.with_columns(pl.selectors.temporal().to_physical())
    seen: Counter[str] = Counter()
    digests = []
    for row in plain.iter_rows():
        digest = hashlib.blake2b(json.dumps(row).encode(), digest_size=DIGEST).hexdigest()
        seen[digest] += 1
        digests.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return digests
