"""How facts are shown to a person."""

from collections.abc import Mapping


def show(facts: Mapping[str, Mapping[str, str]]) -> None:
    """Prints facts by name: fitted to a terminal, elsewhere plain lines that can be searched."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table.grid("", "", padding=(0, 2))
    for name, values in facts.items():
        table.add_row(f"[bold]{name}[/bold]")
        for key, value in values.items():
            table.add_row(f"  [dim]{key}[/dim]", value)
    if console.is_terminal:
        console.print(table)
        return
    for name, values in facts.items():
        print(name, *(f"  {key:<12} {value}" for key, value in values.items()), sep="\n")
