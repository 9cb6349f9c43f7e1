"""Follows the pages of the site that tell what to type, as a reader would.

A console block's commands are typed in order; each line shown under a command has to begin a line
of what it prints, in the same order. Runs differ in ids, times and seconds, so numbers only have to
be there, except those with two decimals or more: they have to be near. `…` stands for anything. A
block with a path as its title is put into that file. Blocks of other kinds are not followed. Every
number has as many decimals as the terminal shows.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.pages import ROOT, blocks, commands, put

NUMBER = re.compile(r"[0-9a-f]{8}\b|\d(?:[\d.,:]*\d)?")
NEAR = 0.02


class Reader:
    """Somebody who does what a page says."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(home),
            "TEMPLATE": str(ROOT),
            **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ada@example.com" for who in ("AUTHOR", "COMMITTER")},
        }

    def follow(self, page: str) -> None:
        """Do everything that a page says."""
        for block in blocks((ROOT / "docs" / page).read_text(encoding="utf-8")):
            if block.kind == "console":
                code = re.search(r"exit code (\d)", block.title)
                for command, shown in commands(block):
                    self.type(command, shown, int(code.group(1)) if code else 0)
            elif block.path and block.where != "shortened":
                put(self.folder, block)

    def type(self, command: str, shown: list[str], code: int = 0) -> str:
        """Type a command, and compare what it prints with what the page shows."""
        if command.startswith("cd "):
            self.folder = self.folder / shlex.split(command)[1]
            assert self.folder.is_dir(), command
            return ""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
            timeout=600,
        )
        assert done.returncode == code, f"$ {command}\n{done.stdout}"
        missing = first_missing(shown, done.stdout.splitlines())
        assert missing is None, f"$ {command}\nshows no line like: {missing}\n{done.stdout}"
        return done.stdout


def first_missing(shown: list[str], printed: list[str]) -> str | None:
    """The first line that is shown and not printed after the one before it."""
    lines = iter(printed)
    for expected in shown:
        if not any(is_like(expected, line) for line in lines):
            return expected
    return None


def is_like(expected: str, line: str) -> bool:
    """Whether a line begins as the expected one; numbers may differ, precise ones a little."""
    texts = [re.sub(r"\s+", " ", NUMBER.sub("#", text)).strip() for text in (expected, line)]
    if not re.match(re.escape(texts[0]).replace("…", ".*"), texts[1]):
        return False
    pairs = list(zip(NUMBER.findall(expected), NUMBER.findall(line), strict=False))
    if "…" not in expected and any(
        decimals(shown) != decimals(printed) for shown, printed in pairs
    ):
        return False
    precise = [pair for pair in pairs if re.fullmatch(r"\d\.\d{2,}", pair[0])]
    return all(abs(float(shown) - float(printed)) <= NEAR for shown, printed in precise)


def decimals(number: str) -> int:
    """How many digits stand after the point."""
    return len(number.partition(".")[2])


def generate(folder: Path, *answers: str) -> Reader:
    """A reader in a fresh project."""
    reader = Reader(folder, folder)
    words = " ".join(answers)
    reader.type(f'cookiecutter "$TEMPLATE" --no-input {words}', ["Next:"])
    reader.type("cd flight-delays", [])
    return reader


@pytest.fixture
def flights(tmp_path: Path) -> Reader:
    """Each page is read by somebody who has followed no other."""
    return generate(tmp_path)


def test_tutorial_can_be_followed_and_leaves_complete_records(tmp_path: Path) -> None:
    reader = Reader(tmp_path, tmp_path)
    reader.follow("tutorial.md")
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{reader.folder}/mlflow.db")
    names = {each.experiment_id: each.name for each in client.search_experiments()}
    runs = client.search_runs(list(names))
    assert all(run.info.status == "FINISHED" for run in runs)
    by_name = [names[run.info.experiment_id] for run in runs]
    assert by_name.count("flight-delays/baseline") == 2, "the first run and its rerun"
    assert by_name.count("flight-delays/evenings") == 4, "one run, and a sweep with two in it"
    assert len(list(reader.folder.glob("outputs/**/card.html"))) == 6
    status = reader.type("git status --short", [])
    assert "outputs" not in status
    assert "mlflow.db" not in status


def test_moving_a_notebook_in_can_be_followed(flights: Reader) -> None:
    flights.follow("how-to/move-a-notebook.md")
    (card,) = flights.folder.glob("outputs/virginica/*/*/artifacts/card.html")
    assert "tell virginica apart?" in card.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page",
    [
        "how-to/own-model.md",
        "how-to/add-a-task.md",
        "how-to/experiments.md",
        pytest.param("how-to/sweeps.md", marks=pytest.mark.long),
        "reference/errors.md",
    ],
)
def test_page_can_be_followed(flights: Reader, page: str) -> None:
    flights.follow(page)


def test_own_data_can_be_brought_into_an_empty_project(tmp_path: Path) -> None:
    reader = generate(tmp_path, "example=none")
    reader.follow("how-to/own-data.md")


def test_two_csv_files_become_a_recorded_run(tmp_path: Path) -> None:
    reader = generate(tmp_path, "example=none")
    reader.follow("how-to/two-tables.md")
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{reader.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("flight-delays/returns")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert {each.dataset.name for each in run.inputs.dataset_inputs} == {"orders", "customers"}
    assert run.data.metrics["test/roc_auc"] > 0.6
    # the project's own tests cover what was written
    assert " passed" in reader.type("python -m pytest -q", [])


@pytest.mark.parametrize(
    ("expected", "line", "alike"),
    [
        ("fit  6.6 s", "fit  12.1 s", True),
        ("roc_auc", "roc_auc   0.6296  [0.6214, 0.6382]", True),
        ("roc_auc  0.62 [0.61, 0.63]", "roc_auc  0.63   [0.62, 0.64]", True),
        ("roc_auc  0.62", "roc_auc  0.69", False),
        ("0.6257", "0.6256712304981", False),
        ("0.6257 of 3,322", "0.6258 of 3,321", True),
        ("roc_auc  0.6257", "roc_auc  0.626", False),
        ("features  a, … c (x)", "features  a, b, c (x), d", True),
        ("features  a, … e (x)", "features  a, b, c (x), d", False),
        ("question  Are evenings worse?", "question  Are mornings worse?", False),
        ("run  a/2026-11-23/20-36-25-2c16f309", "run  a/2027-01-02/03-04-05-00000000", True),
    ],
)
def test_line_counts_as_shown_when_only_numbers_differ(expected: str, line: str, alike: bool):
    assert is_like(expected, line) is alike


def test_wrong_page_is_noticed() -> None:
    assert first_missing(["a", "c"], ["a", "b"]) == "c"
    assert first_missing(["b", "a"], ["a", "b"]) == "a"
