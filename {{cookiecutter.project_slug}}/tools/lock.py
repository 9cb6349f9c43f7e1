"""Join the runner's requirements and yours into one lock that holds on every platform.

Arguments go to uv: `--upgrade` takes newer releases, otherwise what is locked stays.
"""

import subprocess
import sys

from environment import ROOT
from setup import find_uv

RUNNER = "src/runner"
# Each lock with what it is made of. No address of an index gets into a lock.
LOCKS = {
    f"{RUNNER}/requirements-build.lock": [f"{RUNNER}/requirements-build.in"],
    "requirements.lock": [
        *("pyproject.toml", "--group", "dev"),
        *(f"{RUNNER}/requirements.txt", f"{RUNNER}/requirements-tools.txt"),
    ],
    "requirements-example.lock": ["requirements-example.in", "--no-deps"],
    # What an extra adds goes with everything else, so it holds the same versions.
    **{
        f"requirements-{path.stem}.lock": [
            *(path.relative_to(ROOT).as_posix(), "--constraint", "requirements.lock"),
        ]
        for path in sorted((ROOT / RUNNER / "extras").glob("*.txt"))
    },
}
OPTIONS = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]


def main(arguments: list[str]) -> None:
    """Write the locks anew."""
    uv = find_uv()
    if uv is None:
        sys.exit("uv is not installed: run make setup first.")
    for lock, sources in LOCKS.items():
        if (ROOT / sources[0]).exists():
            print(f"Locking {lock} …", flush=True)
            command = [*uv, "pip", "compile", "--quiet", *OPTIONS, *sources, *arguments]
            command += ["--custom-compile-command", "make lock", "--output-file", lock]
            subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
