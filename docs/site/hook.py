"""Adds the generated pages to the site while it is built."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from generate import pages


def on_files(files: Any, config: Any) -> Any:
    """MkDocs calls this when it has collected the pages that lie in docs/."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
