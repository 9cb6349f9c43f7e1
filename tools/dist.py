"""Build the runner's wheel and source distribution into `dist/`, with the locked setuptools."""

import shutil

from prepare import ROOT, prepare, run

BUILD = """
from setuptools import build_meta
for build in (build_meta.build_sdist, build_meta.build_wheel):
    print(build("dist"))
"""


def main() -> None:
    """Build both."""
    prepare()
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    run("-c", BUILD)


if __name__ == "__main__":
    main()
