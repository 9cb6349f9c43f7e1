"""Lays pages out in a real browser, and says what a reader would stumble over."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WIDTHS = (400, 800, 1100, 1600)
SCRIPT = Path(__file__).with_name("layout.js")


def stumbles(
    pages: Sequence[Path], folder: Path, widths: Sequence[int] = WIDTHS, dark: bool = False
) -> list[str]:
    """What is wrong with pages, as `name at width: fault`; skips where no browser is.

    Args:
        pages: HTML files.
        folder: Where the browser may write.
        widths: Of the window, in pixels.
        dark: Whether the reader prefers dark colours.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    frames = "".join(
        f'<iframe data-name="{html.escape(page.stem)}" src="{page.as_uri()}" '
        f'style="border:0;width:{width}px;height:900px"></iframe>'
        for page in pages
        for width in widths
    )
    sheet = folder / "all.html"
    script = SCRIPT.read_text(encoding="utf-8")
    sheet.write_text(
        f'<meta charset="utf-8"><body style="width:2000px">{frames}<pre></pre>'
        f"<script>{script}</script>",
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", "--disable-quic", f"--user-data-dir={folder / 'profile'}"),
            *(["--blink-settings=preferredColorScheme=0"] if dark else []),
            *("--window-size=2000,1200", "--allow-file-access-from-files", sheet.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=180,
    )
    found = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr
    seen: dict[str, list[str]] = json.loads(html.unescape(found[1]))
    assert len(seen) == len(pages) * len(widths), done.stderr
    return [f"{where}: {fault}" for where, faults in seen.items() for fault in faults]
