"""Tables and facts on terminals of any width: nothing is cut, nothing is lost."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_experiment_runner.project.text import show, show_table

STYLE = re.compile(r"\x1b\[[\d;]*m")
CELL = st.text("abc[]/=_é日.", min_size=1, max_size=30)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows of one length, the first of them the heads."""
    width = draw(st.integers(1, 9))
    return draw(st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=4))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    return monkeypatch


ONCE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ONCE
@given(table=tables(), width=st.integers(62, 200))
def test_table_is_whole_on_a_terminal_of_any_width(terminal, capsys, table, width) -> None:
    from rich.cells import cell_len

    terminal.setenv("COLUMNS", str(width))
    show_table(table[0], table[1:])
    lines = STYLE.sub("", capsys.readouterr().out).splitlines()
    assert lines
    assert all(cell_len(line) <= width for line in lines)
    blocks = [lines[at : at + len(table)] for at in range(0, len(lines), len(table))]
    for number, row in enumerate(table):
        assert all(block[number].startswith(row[0]) for block in blocks)
        cells = [cell for block in blocks for cell in re.split(r" {2,}", block[number])[1:]]
        assert cells == row[1:]


@ONCE
@given(table=tables())
def test_table_outside_a_terminal_has_a_line_for_each_row(capsys, table) -> None:
    show_table(table[0], table[1:])
    lines = capsys.readouterr().out.splitlines()
    assert [re.split(r" {3,}", line) for line in lines] == table


@ONCE
@given(values=st.lists(CELL, min_size=1, max_size=4), width=st.integers(20, 200))
def test_facts_are_whole_on_a_terminal_of_any_width(terminal, capsys, values, width) -> None:
    terminal.setenv("COLUMNS", str(width))
    show({"name": {f"key{number}": value for number, value in enumerate(values)}})
    text = STYLE.sub("", capsys.readouterr().out)
    written = re.sub(r"\s|key\d", "", text)
    assert written == "name" + "".join(values)
