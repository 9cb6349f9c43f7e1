"""Where a run's time goes: `debug=profile` records a flame graph."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ml_experiment_runner.record.run import Run

INTERVAL = 0.002  # seconds between two looks at the stack
LEAST = 0.004  # of the whole: a narrower frame could not be seen
DEEPEST = 40
COLOURS = {"runner": "#2563a8", "sklearn": "#c8601a", "polars": "#3a8f5c", "numpy": "#8a5bb5",
           "matplotlib": "#b0902a"}  # fmt: skip
OTHER = "#9aa1a9"


@contextmanager
def profiled(run: "Run") -> Iterator[None]:
    """Records `figures/flame_graph.png` and the page `profile.html` if the configuration says so.

    The main thread is looked at every 2 ms; what others do, such as a library's threads, counts
    for the function that waits for them.
    """
    if not run.config.debug.profile:
        yield
        return
    from pyinstrument import Profiler

    profiler = Profiler(interval=INTERVAL)
    profiler.start()
    try:
        yield
    finally:
        session = profiler.stop()
        run.log_text(profiler.output_html(), "profile.html")
        root = session.root_frame()
        if root is not None:
            run.log_figure(flame_graph(root), "flame_graph")


def flame_graph(root: Any) -> "Figure":
    """Calls from bottom to top, each as wide as its time.

    Args:
        root: pyinstrument's outermost frame.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(12, 7))
    figure.subplots_adjust(left=0.02, right=0.98, top=0.93, bottom=0.08)
    axes = figure.add_subplot()
    whole = root.time or 1.0
    deepest, used = 0, set()
    waiting = [(root, 0.0, 0)]
    while waiting:
        frame, left, depth = waiting.pop()
        width = frame.time / whole
        if width < LEAST or depth > DEEPEST:
            continue
        package = _package(frame)
        used.add(package)
        deepest = max(deepest, depth)
        axes.barh(depth, width, left=left, height=0.92, color=COLOURS.get(package, OTHER),
                  edgecolor="white", linewidth=0.4)  # fmt: skip
        room = int(width * 170)  # characters
        name = str(frame.function)
        if room > 3:
            text = name if len(name) <= room else f"{name[: room - 1]}…"
            axes.text(left + width / 2, depth, text, ha="center", va="center", fontsize=6,
                      color="white", clip_on=True)  # fmt: skip
        for child in frame.children:
            waiting.append((child, left, depth + 1))
            left += child.time / whole
    axes.set(title=f"Where {whole:.1f} s went", xlim=(0, 1), ylim=(-0.6, deepest + 1), yticks=[])
    axes.set_xlabel("share of the time")
    axes.spines[["top", "right", "left"]].set_visible(False)
    names = [name for name in COLOURS if name in used]
    handles = [Patch(color=COLOURS[name], label=name) for name in names]
    axes.legend(handles=[*handles, Patch(color=OTHER, label="others")], frameon=False, fontsize=8,
                loc="upper right", ncols=len(names) + 1)  # fmt: skip
    return figure


def _package(frame: Any) -> str:
    """The package that a frame's code is from."""
    path = str(frame.file_path or "").replace("\\", "/")
    for name in COLOURS:
        if f"/{name}/" in path:
            return name
    return ""
