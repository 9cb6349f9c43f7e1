"""Whether more rows are wrong than a tolerated share explains.

A tolerated share is a promise about the source, not about each batch: of 2,000 rows with 0.1 % of
them tolerated, three may be wrong by chance. So a rule is broken when there are more than the
tolerance explains: at least as many would come by chance in one of 10,000 batches at most.
"""

import math

CHANCE = 1e-4
"""How rarely a delivery whose source keeps its promise may be taken for one that breaks it."""


def too_many(count: int, rows: int, tolerated: float) -> bool:
    """Whether a tolerated share does not explain so many of the rows."""
    share = count / rows if rows else 0.0
    if share <= tolerated:
        return False
    if not tolerated:
        return True
    # Chernoff's bound of the binomial tail
    surprise = share * math.log(share / tolerated)
    if share < 1:
        surprise += (1 - share) * math.log((1 - share) / (1 - tolerated))
    return rows * surprise > -math.log(CHANCE)
