"""Secrets of this machine: `.env`, which git ignores."""

import os
from pathlib import Path

import pytest

from runner import project
from runner.errors import UserError


def test_file_is_read_and_what_is_set_already_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "root", lambda: tmp_path)
    monkeypatch.setenv("SHOP_USER", "Ada")
    monkeypatch.setenv("SHOP_TOKEN", "")
    monkeypatch.delenv("SHOP_TOKEN")
    project.read_environment()
    assert "SHOP_TOKEN" not in os.environ
    (tmp_path / ".env").write_text("# ours\nSHOP_USER=Bob\nSHOP_TOKEN='t0ken # of ours'\n")
    project.read_environment()
    assert (os.environ["SHOP_USER"], os.environ["SHOP_TOKEN"]) == ("Ada", "t0ken # of ours")
    (tmp_path / ".env").write_bytes(b"SHOP_USER=\xff")
    with pytest.raises(UserError, match=r"\.env: it cannot be read .*see \.env\.example"):
        project.read_environment()
