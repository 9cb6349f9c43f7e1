"""Builds HTML from Python: whatever is not built here is text, and is escaped."""

import html

Child = object
"""Html, text, a list of these, or None for nothing."""


class Html(str):
    """A piece that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: Child, **attributes: object) -> Html:
    """An element; `class_` stands for `class`, and an attribute of None is left out."""
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            key = key.rstrip("_").replace("_", "-")
            words.append(f'{key}="{html.escape(str(value))}"')
    opening = " ".join(words)
    return Html(f"<{opening}>{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Pieces one after the other."""
    return Html("".join(_text(child) for child in children))


def image(source: str, description: str) -> Html:
    """A picture; `source` is its address or its content as a `data:` address."""
    return Html(f'<img src="{html.escape(source)}" alt="{html.escape(description)}">')


def table(
    heads: list[Child],
    rows: list[list[Child]],
    numbers: tuple[int, ...] = (),
    class_: str | None = None,
) -> Html:
    """A table whose first column names its rows; columns in `numbers` are set to the right."""

    def cells(row: list[Child], first: str) -> Html:
        kinds = [first] + ["th" if heads is row else "td"] * (len(row) - 1)
        return join(
            *(
                tag(kind, cell, class_="number" if position in numbers else None)
                for position, (kind, cell) in enumerate(zip(kinds, row, strict=True))
            )
        )

    head = tag("thead", tag("tr", cells(heads, "th"))) if heads else None
    body = tag("tbody", [tag("tr", cells(row, "th")) for row in rows])
    return tag("div", tag("table", head, body, class_=class_), class_="scroll")


def facts(pairs: dict[str, Child]) -> Html:
    """Names and what they stand for; what is empty is left out."""
    known = {name: value for name, value in pairs.items() if value not in (None, "", [])}
    return tag("dl", [join(tag("dt", name), tag("dd", value)) for name, value in known.items()])


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, list):
        return join(*child)
    return html.escape(str(child))
