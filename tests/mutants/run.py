"""Breaks one line at a time in a copy of the template and sees that the named test notices.

`python tests/mutants/run.py [word …]` takes those breakages only whose lines in `mutants.toml` hold
one of the words.
"""

import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.baking import copy_template, git  # noqa: E402

RUNNER = Path("{{cookiecutter.project_slug}}", "src", "runner")
AT_ONCE = 2
FAILED = 1
"""Pytest's exit code for tests that failed; others mean that it found none or could not start."""


class Mutant(NamedTuple):
    """One breakage.

    Attributes:
        about: What would go wrong.
        file: Relative to `src/runner`, or to the template.
        line: As it is; without its indentation.
        broken: What stands there instead.
        test: The test that must fail.
    """

    about: str
    file: str
    line: str
    broken: str
    test: str

    def apply(self, template: Path) -> str | None:
        """Break the line; returns what is wrong if it does not stand there exactly once."""
        path = template / RUNNER / self.file
        path = path if path.exists() else template / self.file
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        places = [place for place, line in enumerate(lines) if line.strip() == self.line.strip()]
        if len(places) != 1:
            return f"the line stands {len(places)} times in {self.file}"
        line = lines[places[0]]
        lines[places[0]] = line.replace(line.strip(), self.broken.strip())
        path.write_text("".join(lines), encoding="utf-8")
        return None


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
    if words:
        mutants = [each for each in mutants if any(word in " ".join(each) for word in words)]
    if not mutants:
        print(f"No breakage in mutants.toml holds {' or '.join(words)}.")
        return 2
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
