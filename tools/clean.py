"""Remove build outputs and caches; `.venv` stays."""

import shutil

from prepare import ROOT

for folder in ("build", "dist", "site"):
    shutil.rmtree(ROOT / folder, ignore_errors=True)
for pattern in ("**/__pycache__", "**/.pytest_cache", "**/.ruff_cache", "**/.mypy_cache"):
    for cache in ROOT.glob(pattern):
        if ".venv" not in cache.parts:
            shutil.rmtree(cache, ignore_errors=True)
