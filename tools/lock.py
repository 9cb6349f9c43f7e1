"""Write the locks: first the generated project's, then the template's own on top of it.

Arguments go to uv: without `--upgrade`, locked versions stay.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from prepare import GENERATED, ROOT, find_uv, prepare, python

OPTIONS = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
PROJECT_LOCKS = ("requirements.lock", "requirements-example.lock")
LOCK_WITH_THIS_RUNNER = """
import sys
from pathlib import Path
sys.path.insert(0, "tools")
import lock, setup
lock.main(sys.argv[2:], setup.given(Path(sys.argv[1])))
"""


def compile_lock(lock: str, *sources: str) -> None:
    """Lock the sources, without the address of an index."""
    uv = find_uv(ROOT)
    if uv is None:
        sys.exit("uv is not installed: run make test first.")
    print(f"Locking {lock} …", flush=True)
    command = [*uv, "pip", "compile", "--quiet", *OPTIONS, *sources, *sys.argv[1:]]
    command += ["--custom-compile-command", "make lock", "--output-file", lock]
    subprocess.run(command, cwd=ROOT, check=True)


def lock_project() -> None:
    """Lock a generated project with the runner of the working tree."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python(ROOT), "-m", "cookiecutter", str(ROOT), "--no-input"]
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        subprocess.run([*command, "--output-dir", folder], **quiet)  # type: ignore[call-overload]
        (project,) = Path(folder).iterdir()
        command = [python(ROOT), "-c", LOCK_WITH_THIS_RUNNER, str(ROOT), *sys.argv[1:]]
        subprocess.run(command, cwd=project, check=True)
        for name in PROJECT_LOCKS:
            shutil.copyfile(project / name, GENERATED / name)


def write_taken_names() -> None:
    """Write the names that a generated package cannot have to cookiecutter.json."""
    command = [python(ROOT), str(ROOT / "tools" / "taken.py")]
    names = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    path = ROOT / "cookiecutter.json"
    questions = json.loads(path.read_text(encoding="utf-8"))
    questions["_taken"] = names.strip()
    text = json.dumps(questions, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def main() -> None:
    """Write all locks."""
    prepare()
    lock_project()
    constraints = ("--constraint", str(GENERATED.relative_to(ROOT) / "requirements.lock"))
    compile_lock("requirements-dev.lock", "requirements-dev.in", *constraints)
    # without constraints: it has its own environment
    compile_lock("requirements-odcs.lock", "requirements-odcs.in")
    write_taken_names()


if __name__ == "__main__":
    main()
