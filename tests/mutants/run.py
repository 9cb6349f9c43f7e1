"""Breaks one line at a time in a copy of the template and sees that the named test notices.

`python tests/mutants/run.py [word …]` takes those breakages only whose lines in `mutants.toml` hold
one of the words; `--look` only looks whether each line is there.
"""

import ast
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from support.baking import copy_template, git  # noqa: E402

SOURCES = ("src", "hooks", "tools", "{{cookiecutter.project_slug}}", "tests/support")
AT_ONCE = 2
FAILED = 1
"""Pytest's exit code for tests that failed; others mean that it found none or could not start."""


class Mutant(NamedTuple):
    """One breakage.

    Attributes:
        about: What would go wrong.
        line: As it is; without its indentation.
        broken: What stands there instead.
        test: The test that must fail.
        within: The function or class that holds the line, where it stands in several places.
    """

    about: str
    line: str
    broken: str
    test: str
    within: str = ""

    def places(self, template: Path) -> list[tuple[Path, int]]:
        """Files with the line, and its index in each."""
        found = []
        for path in sources(template):
            text = path.read_text(encoding="utf-8")
            if self.line.strip() in text:
                lines = text.splitlines()
                spans = blocks(text, self.within) if self.within else [range(len(lines))]
                found += [(path, place) for span in spans for place in span
                          if lines[place].strip() == self.line.strip()]  # fmt: skip
        return found

    def apply(self, template: Path) -> str | None:
        """Break the line; returns what is wrong if it does not stand there exactly once."""
        places = self.places(template)
        if len(places) != 1:
            shown = ", ".join(f"{path.relative_to(template)}:{place + 1}" for path, place in places)
            return f"the line stands {len(places)} times ({shown or 'nowhere'}): {self.line}"
        path, place = places[0]
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        lines[place] = lines[place].replace(lines[place].strip(), self.broken.strip())
        path.write_text("".join(lines), encoding="utf-8")
        return None


def sources(template: Path) -> list[Path]:
    """The files in which a line may stand."""
    kinds = {".py", ".yaml", ".html", ".toml", ".jinja", ""}
    paths = (path for folder in SOURCES for path in sorted((template / folder).rglob("*")))
    found = [path for path in paths if path.is_file() and path.suffix in kinds]
    return [*(path for path in found if "__pycache__" not in path.parts),
            template / "cookiecutter.json"]  # fmt: skip


def blocks(source: str, name: str) -> list[range]:
    """Where the functions and classes of a name stand, as indices of lines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    return [range(node.lineno - 1, node.end_lineno or node.lineno) for node in ast.walk(tree)
            if isinstance(node, kinds) and node.name == name]  # fmt: skip


def test(template: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    """Run tests in a copy of the template."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names]
    return subprocess.run(command, cwd=template, capture_output=True, text=True, check=False)


def copy(place: str) -> Path:
    """Copy the template; tests that generate from it ask git for its files."""
    template = copy_template(Path(place) / "template")
    git(template, "init", "--quiet")
    return template


def survives(mutant: Mutant) -> str | None:
    """Break the line and run the test; returns what is wrong, or None if the test noticed."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        template = copy(place)
        problem = mutant.apply(template)
        if problem:
            return problem
        done = test(template, mutant.test)
        if done.returncode == FAILED:
            return None
        return "the test passes" if done.returncode == 0 else done.stdout.strip()[-300:]


def main(words: list[str]) -> int:
    """Print a line for each breakage; 1 if one of them survives."""
    table = tomllib.loads((HERE / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
    mutants = [Mutant(**each) for each in table]
    look, words = "--look" in words, [word for word in words if word != "--look"]
    if words:
        mutants = [each for each in mutants if any(word in " ".join(each) for word in words)]
    if not mutants:
        print(f"No breakage in mutants.toml holds {' or '.join(words)}.")
        return 2
    if look:
        lost = [f"{mutant.about}: {len(places)} places: {mutant.line}" for mutant in mutants
                if len(places := mutant.places(ROOT)) != 1]  # fmt: skip
        print("\n".join([*lost, f"{len(mutants) - len(lost)} of {len(mutants)} lines are there"]))
        return 1 if lost else 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        whole = test(copy(place), "-n", str(AT_ONCE), *sorted({each.test for each in mutants}))
    if whole.returncode != 0:
        print(whole.stdout, "\nThe tests fail without any breakage.", sep="")
        return 1
    with ThreadPoolExecutor(AT_ONCE) as pool:
        survived = 0
        for mutant, problem in zip(mutants, pool.map(survives, mutants), strict=True):
            survived += problem is not None
            state = "SURVIVES" if problem else "caught"
            print(f"{state:<9} {mutant.about:<62} {mutant.test.partition('::')[2]}", flush=True)
            if problem:
                print(f"          {problem}")
    seconds = time.monotonic() - begin
    print(f"{len(mutants) - survived} of {len(mutants)} caught in {seconds:.0f} s")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
