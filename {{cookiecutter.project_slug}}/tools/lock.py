"""Lock the requirements of the runner and of `pyproject.toml` in one file for every platform.

Requirements of an extra of the runner are in the same file, with the marker `extra == '<name>'`.
Arguments go to uv: without `--upgrade`, locked versions stay.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from setup import (
    NAME,
    ROOT,
    Runner,
    cannot_install,
    entries,
    extra_of,
    find_uv,
    reason,
    runner_of,
    with_extras,
)

EXTRAS = ("boosting", "deep", "ray")
LOCK, EXAMPLE = "requirements.lock", "requirements-example.lock"
# A lock contains no address of an index.
OPTIONS = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
OPTIONS += ["--no-emit-package", NAME, "--custom-compile-command", "make lock"]
# Leftovers of the time when the runner was part of this repository.
RETIRED = [f"requirements-{name}.lock" for name in EXTRAS]
RETIRED_FOLDERS = ["src/runner", "src/hydra_plugins", "tests/standard"]


def tidy(root: Path = ROOT) -> None:
    """Remove what an update leaves: former locks, and folders that contain only bytecode."""
    for name in RETIRED:
        (root / name).unlink(missing_ok=True)
    for name in RETIRED_FOLDERS:
        files = [path for path in (root / name).rglob("*") if path.is_file()]
        if all(path.suffix == ".pyc" for path in files):
            shutil.rmtree(root / name, ignore_errors=True)


def compiled(
    sources: Sequence[str], runner: Runner | None, before: str, options: Sequence[str]
) -> str:
    """The lock of these sources, with the versions of the lock before it."""
    uv = find_uv()
    if uv is None:
        sys.exit("uv is not installed: run make setup first.")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, LOCK)
        output.write_text(before, encoding="utf-8")
        command = [*uv, "pip", "compile", "--quiet", *OPTIONS, *sources, *options]
        typed = None
        if runner is not None and not runner.source.startswith("file:"):
            command.append(runner.source)
        elif runner is not None:
            command, typed = [*command, "-"], f"{NAME} @ {runner.source}\n"
        done = subprocess.run(
            [*command, "--output-file", str(output)], cwd=ROOT, input=typed or "",
            capture_output=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        if done.returncode:
            if runner and re.search(
                rf"`{NAME} @|{NAME} was not found|Distribution not", done.stderr
            ):
                sys.exit(cannot_install(runner, reason(done.stderr)))
            sys.exit(done.stderr.strip())
        return output.read_text(encoding="utf-8").partition("\n# The following packages were")[0]


def marked(entry: str, extra: str) -> str:
    """A requirement with the marker of an extra."""
    first, end, rest = entry.partition("\n")
    requirement, _, marker = first.removesuffix(" \\").partition(" ; ")
    marker = f"({marker})" if " or " in marker else marker
    return f"{requirement} ; {f'{marker} and ' if marker else ''}extra == '{extra}' \\{end}{rest}"


def lock_extra(extra: str, base: str, before: str, runner: Runner, options: Sequence[str]) -> str:
    """The requirements that an extra adds to the base lock."""
    with tempfile.TemporaryDirectory() as folder:
        constraint, requirement = Path(folder, "base.txt"), Path(folder, "extra.txt")
        constraint.write_text(base, encoding="utf-8")
        requirement.write_text(f"{NAME}[{extra}]\n", encoding="utf-8")
        sources = ["--no-annotate", "--constraint", str(constraint), str(requirement)]
        known = "".join(entry for entry in entries(before) if extra_of(entry) == extra)
        text = compiled(sources, runner, with_extras(known, [extra]), options)
    locked = {entry.partition("\n")[0] for entry in entries(base)}
    added = [entry for entry in entries(text) if entry.partition("\n")[0] not in locked]
    return "".join(marked(entry, extra) for entry in added)


def main(arguments: Sequence[str], runner: Runner | None = None) -> None:
    """Write the locks."""
    tidy()
    runner = runner or runner_of()
    lock, example = ROOT / LOCK, ROOT / EXAMPLE
    before = lock.read_text(encoding="utf-8") if lock.exists() else ""
    print(f"Locking {LOCK} …", flush=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = [name for name in ("dev", "tools") if name in project.get("dependency-groups", {})]
    sources = ["pyproject.toml", *(word for name in groups for word in ("--group", name))]
    base = compiled(sources, runner, with_extras(before, ()), arguments)
    extras = [lock_extra(extra, base, before, runner, arguments) for extra in EXTRAS]
    sections = [f"# what the runner's extra {extra} adds\n{text}" if text else ""
                for extra, text in zip(EXTRAS, extras, strict=True)]  # fmt: skip
    lock.write_text(base + "".join(sections), encoding="utf-8", newline="\n")
    if (ROOT / "requirements-example.in").exists():
        print(f"Locking {EXAMPLE} …", flush=True)
        before = example.read_text(encoding="utf-8") if example.exists() else ""
        text = compiled(["requirements-example.in", "--no-deps"], None, before, arguments)
        example.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
