"""Secrets of this machine: `.env`, which git ignores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import mask
from support import python_path


def test_file_is_read_and_what_is_set_already_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    monkeypatch.setenv("SHOP_USER", "Ada")
    monkeypatch.setenv("SHOP_TOKEN", "")
    monkeypatch.delenv("SHOP_TOKEN")
    repository.read_environment()
    assert "SHOP_TOKEN" not in os.environ
    (tmp_path / ".env").write_text("# ours\nSHOP_USER=Bob\nSHOP_TOKEN='t0ken # of ours'\n")
    repository.read_environment()
    assert (os.environ["SHOP_USER"], os.environ["SHOP_TOKEN"]) == ("Ada", "t0ken # of ours")
    (tmp_path / ".env").write_bytes(b"SHOP_USER=\xff")
    with pytest.raises(UserError, match=r"\.env cannot be read .*see \.env\.example"):
        repository.read_environment()


@pytest.mark.parametrize(
    "begins",
    [
        "from ml_experiment_runner.project.repository import read_environment as begin",
        "from ml_experiment_runner.project.secrets import register_environment as begin",
    ],
)
def test_values_are_masked_where_the_file_is_not(
    tmp_path: Path, little_project: Path, monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    for name in ("DEPLOY_PAT", "OF.OURS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text("DEPLOY_PAT=ghp_Zq7WkX9vJ2\nOF.OURS=Zq7W-kX9v\n")
    repository.read_environment()
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(little_project))
    repository.read_environment()  # as where a rerun is begun in a worktree
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                f"{begins}\nbegin()\n"
                "from ml_experiment_runner.project.secrets import mask\nprint(mask(input()))"
            ),
        ],
        env={**os.environ, "PYTHONPATH": python_path(little_project)},
        cwd=little_project,
        input="by ghp_Zq7WkX9vJ2 and Zq7W-kX9v",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "by *** and ***\n"


def test_settings_that_hold_an_address_are_masked_by_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    for name in ("SHOP", "STORE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(
        """SHOP='{"url": "https://shop.example.com/v1", "code": "x9%k2+z", "pwd": "tiger-paws"}'
STORE="jdbc:sqlserver://store.example.com;user=app;Password=lion-claws"
"""
    )
    repository.read_environment()
    text = "x9%k2+z, tiger-paws and lion-claws at https://shop.example.com/v1 as app"
    shown = "***, *** and *** at https://shop.example.com/v1 as app"
    assert mask(text) == shown
