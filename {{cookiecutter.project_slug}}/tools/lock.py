"""Lock what the runner and `pyproject.toml` need, in one file that holds on every platform.

What only an extra of the runner brings is in the same file, under the marker `extra == '<name>'`.
Arguments go to uv: `--upgrade` takes newer releases, otherwise what is locked stays.
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
    entries,
    extra_of,
    find_uv,
    out_of_reach,
    reason,
    runner_of,
    with_extras,
)

EXTRAS = ("boosting", "deep", "ray")
LOCK, EXAMPLE = "requirements.lock", "requirements-example.lock"
# No address of an index gets into a lock.
OPTIONS = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
OPTIONS += ["--no-emit-package", NAME, "--custom-compile-command", "make lock"]
# What the runner left when it was a part of this repository and became a package.
RETIRED = [f"requirements-{name}.lock" for name in EXTRAS]
RETIRED_FOLDERS = ["src/runner", "src/hydra_plugins", "tests/standard"]


def tidy(root: Path = ROOT) -> None:
    """Remove what an update leaves behind: older locks, and folders that hold only bytecode."""
    for name in RETIRED:
        (root / name).unlink(missing_ok=True)
    for name in RETIRED_FOLDERS:
        files = [path for path in (root / name).rglob("*") if path.is_file()]
        if all(path.suffix == ".pyc" for path in files):
            shutil.rmtree(root / name, ignore_errors=True)


def compiled(words: Sequence[str], runner: Runner | None, before: str, asked: Sequence[str]) -> str:
    """What uv locks for these sources, keeping the versions of before."""
    uv = find_uv()
    if uv is None:
        sys.exit("uv is not installed: run make setup first.")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, LOCK)
        output.write_text(before, encoding="utf-8")
        command = [*uv, "pip", "compile", "--quiet", *OPTIONS, *words, *asked]
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
                sys.exit(out_of_reach(runner, reason(done.stderr)))
            sys.exit(done.stderr.strip())
        return output.read_text(encoding="utf-8").partition("\n# The following packages were")[0]


def marked(entry: str, extra: str) -> str:
    """A requirement that holds for an extra only."""
    first, end, rest = entry.partition("\n")
    requirement, _, marker = first.removesuffix(" \\").partition(" ; ")
    marker = f"({marker})" if " or " in marker else marker
    return f"{requirement} ; {f'{marker} and ' if marker else ''}extra == '{extra}' \\{end}{rest}"


def lock_extra(extra: str, base: str, before: str, runner: Runner, asked: Sequence[str]) -> str:
    """What an extra adds, in the versions that everything else has."""
    with tempfile.TemporaryDirectory() as folder:
        constraint, wanted = Path(folder, "base.txt"), Path(folder, "extra.txt")
        constraint.write_text(base, encoding="utf-8")
        wanted.write_text(f"{NAME}[{extra}]\n", encoding="utf-8")
        words = ["--no-annotate", "--constraint", str(constraint), str(wanted)]
        known = "".join(entry for entry in entries(before) if extra_of(entry) == extra)
        text = compiled(words, runner, with_extras(known, [extra]), asked)
    there = {entry.partition("\n")[0] for entry in entries(base)}
    added = [entry for entry in entries(text) if entry.partition("\n")[0] not in there]
    return "".join(marked(entry, extra) for entry in added)


def main(arguments: Sequence[str], runner: Runner | None = None) -> None:
    """Write the locks anew."""
    tidy()
    runner = runner or runner_of()
    lock, example = ROOT / LOCK, ROOT / EXAMPLE
    before = lock.read_text(encoding="utf-8") if lock.exists() else ""
    print(f"Locking {LOCK} …", flush=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = [name for name in ("dev", "tools") if name in project.get("dependency-groups", {})]
    words = ["pyproject.toml", *(word for name in groups for word in ("--group", name))]
    base = compiled(words, runner, with_extras(before, ()), arguments)
    extras = [lock_extra(extra, base, before, runner, arguments) for extra in EXTRAS]
    parts = [f"# what the runner's extra {extra} adds\n{text}" if text else ""
             for extra, text in zip(EXTRAS, extras, strict=True)]  # fmt: skip
    lock.write_text(base + "".join(parts), encoding="utf-8", newline="\n")
    if (ROOT / "requirements-example.in").exists():
        print(f"Locking {EXAMPLE} …", flush=True)
        before = example.read_text(encoding="utf-8") if example.exists() else ""
        text = compiled(["requirements-example.in", "--no-deps"], None, before, arguments)
        example.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
