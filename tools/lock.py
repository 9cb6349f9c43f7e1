"""Write the locks anew: those of a generated project first, then the template's own on top.

Arguments go to uv: `--upgrade` takes newer releases, otherwise what is locked stays.
"""

import subprocess
import sys

from prepare import GENERATED, ROOT, find_uv, prepare

OPTIONS = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
RUNNER = "src/runner"


def compile_lock(folder: str, lock: str, *sources: str) -> None:
    """Lock the sources; no address of an index gets into the lock."""
    uv = find_uv(ROOT)
    if uv is None:
        sys.exit("uv is not installed: run make test first.")
    print(f"Locking {lock} …", flush=True)
    command = [*uv, "pip", "compile", "--quiet", *OPTIONS, *sources, *sys.argv[1:]]
    command += ["--custom-compile-command", "make lock", "--output-file", lock]
    subprocess.run(command, cwd=folder, check=True)


def main() -> None:
    """Write all locks."""
    prepare()
    project = str(GENERATED)
    compile_lock(project, f"{RUNNER}/requirements-build.lock", f"{RUNNER}/requirements-build.in")
    sources = (f"{RUNNER}/requirements.txt", f"{RUNNER}/requirements-tools.txt")
    compile_lock(project, "requirements.lock", *sources)
    compile_lock(project, "requirements-example.lock", "requirements-example.in", "--no-deps")
    for path in sorted((GENERATED / RUNNER / "extras").glob("*.txt")):
        extra = (f"{RUNNER}/extras/{path.name}", "--constraint", "requirements.lock")
        compile_lock(project, f"requirements-{path.stem}.lock", *extra)
    constraints = ("--constraint", str(GENERATED / "requirements.lock"))
    compile_lock(str(ROOT), "requirements-dev.lock", "requirements-dev.in", *constraints)
    # on its own: it shares an environment with nothing
    compile_lock(str(ROOT), "requirements-odcs.lock", "requirements-odcs.in")


if __name__ == "__main__":
    main()
