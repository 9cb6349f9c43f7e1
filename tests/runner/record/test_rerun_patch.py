"""A record's patch is made again in a rerun, whatever was masked in it."""

import secrets
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import clear, mask_patch, register
from ml_experiment_runner.record.provenance import Git
from ml_experiment_runner.record.rerun.worktree import worktree


def git(folder: Path, *words: str) -> bytes:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Repository:
    """One with a file, and the runs that are recorded in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        git(folder, "init", "-q")
        (folder / ".git" / "info" / "exclude").write_text("outputs\n")

    def commit(self, text: str, name: str = "a.yaml") -> None:
        (self.folder / name).write_bytes(text.encode())
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", "one")

    def record(self, text: str, name: str = "a.yaml") -> Any:
        """A run with a text in the file that is not committed."""
        (self.folder / name).write_bytes(text.encode())
        notes: dict[str, Any] = {}
        patches: list[bytes] = []
        Git(self.folder, self.folder / "outputs", notes.__setitem__, patches.append).run()
        folder = self.folder / "outputs" / secrets.token_hex(4)
        (folder / "artifacts").mkdir(parents=True)
        for patch in patches:
            masked, notes["git_masked"] = mask_patch(patch)
            (folder / "artifacts" / "uncommitted.patch").write_bytes(masked)
        return SimpleNamespace(
            id="aaaa1111", folder=folder, outputs=folder.parent, provenance=notes
        )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = Repository(tmp_path / "repository")
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(repository.folder))
    return repository


@pytest.mark.parametrize(
    "line",
    [
        "auth: basic",
        "token: write",
        "secrets: inherit",
        "password: not-yet-0urs",
        "fraud",
        "  fraud",
        "-fraud",
    ],
)
def test_line_beside_a_change_is_found_by_git(repository: Repository, line: str) -> None:
    register("fraud", "TEAM")
    register("-Zq7W-kX9v", "A_TOKEN")
    repository.commit(f"a: 1\n{line}\nold: {line}\nb: 2\n")
    recorded = repository.record(f"a: 1\n{line}\nnew: 1\npassword: unkn0wn\nb: 3\n")
    with worktree(recorded) as project:
        text = (project / "a.yaml").read_text()
    assert text == f"a: 1\n{line}\nnew: 1\npassword: ***\nb: 3\n"


LINES = st.lists(
    st.sampled_from(
        [
            *("auth: basic", "token: write", "  secrets: inherit", "password = 'a b'", "pwd: x"),
            *("fraud", "", "@@ -1 +1 @@", "diff --git a/x b/x", "-- a", "++ b", "seed: 7"),
            *("Zq7W-t0ken", "by Zq7W-t0ken", "+Zq7W-t0ken", "token: Zq7W-t0ken\r"),
        ]
    ),
    max_size=9,
)


@settings(
    max_examples=25,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(before=LINES, after=LINES)
def test_masked_patch_is_applied_unless_git_has_the_secret(
    repository: Repository, before: list[str], after: list[str]
) -> None:
    clear()
    register("Zq7W-t0ken")
    register("fraud", "TEAM")
    before = [line for line in before if "Zq7W" not in line]
    repository.commit("\n".join(before))
    recorded = repository.record("\n".join(after))
    with worktree(recorded) as project:
        lines = (project / "a.yaml").read_bytes().decode().split("\n")
    assert len(lines) == max(1, len(after))
    for line, was in zip(lines, after, strict=False):
        assert "Zq7W" not in line
        if was in before:
            assert line == was or "***" in line
        elif "***" not in line:
            assert line == was


def test_patch_with_a_secret_in_git_is_refused_with_advice(
    repository: Repository,
) -> None:
    register("Zq7W-t0ken")
    repository.commit("token: Zq7W-t0ken\nb: 2\n")
    recorded = repository.record("token: Zq7W-t0ken\nb: 3\n")
    patch = recorded.folder / "artifacts" / "uncommitted.patch"
    assert "Zq7W" not in patch.read_text()
    asked = r"(?s)git apply failed.*has \*\*\* in place of secrets, in a\.yaml.*Write the secrets"
    with pytest.raises(UserError, match=asked), worktree(recorded):
        pass
    patch.write_text(patch.read_text().replace("***", "Zq7W-t0ken"))  # as the message says
    with worktree(recorded) as project:
        assert (project / "a.yaml").read_text() == "token: Zq7W-t0ken\nb: 3\n"
