"""How large a YAML text may be, looked at before a tree is made of it.

The YAML library builds its tree by recursion: text that nests deep enough ends the process. Its
events come one by one, so they are counted first.
"""

import yaml

from ml_experiment_runner.project.errors import UserError

SIZE = 2_000_000
"""Characters of a contract: the longest public ones have a tenth of it."""
NODES = 200_000
"""Values of a contract, each counted as often as an alias repeats it."""
DEPTH = 100
"""How deep values may lie in each other."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def check_bounds(text: str, place: str) -> None:
    """Raises an error for a text that cannot be read safely.

    Args:
        text: The YAML text.
        place: What messages call its file.

    Raises:
        UserError: It is too large, too deep, holds several documents, or aliases that blow it up.
        yaml.YAMLError: It is not valid YAML.
    """
    if len(text) > SIZE:
        raise UserError(
            f"{place}: the file must be at most {SIZE / 1e6:.0f} MB, got {len(text) / 1e6:,.1f} MB"
        )
    scan = _Scan(place)
    for event in yaml.parse(text, Loader=_Loader):
        scan.take(event)


class _Scan:
    """What the events so far come to: nodes, depth, and the extent of each anchor."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.nodes = 0
        self.documents = 0
        self.anchors: dict[str, tuple[int, int]] = {}  # nodes and height
        # of each open value: its anchor, the nodes before it, and its height so far
        self.open: list[tuple[str | None, int, int]] = []

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise UserError(
                    f"{self.place}:{line}: a second YAML document begins here; a contract's file "
                    "must hold one"
                )
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise UserError(
                    f"{self.place}:{line}: unknown alias *{event.anchor}; no anchor before it"
                )
            nodes, height = self.anchors[event.anchor]
            self._count(nodes, height, line)
        elif isinstance(event, _OPENING):
            self.open.append((event.anchor, self.nodes, 0))
            self._count(1, 0, line)
        elif isinstance(event, _CLOSING):
            anchor, before, height = self.open.pop()
            if anchor:
                self.anchors[anchor] = (self.nodes - before, height + 1)
            self._raise_to(height + 1)
        elif isinstance(event, yaml.ScalarEvent):
            if event.anchor:
                self.anchors[event.anchor] = (1, 1)
            self._count(1, 1, line)

    def _count(self, nodes: int, height: int, line: int) -> None:
        self.nodes += nodes
        self._raise_to(height)
        if self.nodes > NODES:
            raise UserError(f"{self.place}:{line}: more than {NODES:,} values")
        if len(self.open) + height > DEPTH:
            raise UserError(f"{self.place}:{line}: more than {DEPTH} levels of nesting")

    def _raise_to(self, height: int) -> None:
        if self.open and self.open[-1][2] < height:
            anchor, before, _ = self.open[-1]
            self.open[-1] = (anchor, before, height)
