"""Rows to judge, as Hypothesis draws them."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def judged_rows(draw) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both classes and scores, many of them equal."""
    rows = draw(st.integers(2, 60))
    label = draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
    label[0], label[1] = 0, 1
    distinct = draw(st.sampled_from([2, 5, 1000]))
    score = draw(st.lists(st.integers(0, distinct), min_size=rows, max_size=rows))
    return np.array(label, dtype=np.int8), np.array(score) / distinct
