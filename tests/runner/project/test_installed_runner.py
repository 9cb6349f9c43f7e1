"""Which runner is installed, and whether it is the one that the project pins."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml_experiment_runner.cli import doctor
from ml_experiment_runner.project import installed_runner
from ml_experiment_runner.project.runner_pin import pin_line
from ml_experiment_runner.record import provenance
from support import SOURCE

COMMIT, OTHER = "a" * 40, "b" * 40
GIT = {
    "url": "https://tok3n-of-mine@example.com/r",
    "vcs_info": {"vcs": "git", "commit_id": COMMIT},
}
WHEEL = {"url": "file:///r.whl", "archive_info": {"hashes": {"sha256": "1234"}}}


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().strip()


def install(site: Path, origin: dict[str, Any] | None, package: bool = True) -> None:
    """Files as an installer leaves them."""
    facts = site / "ml_experiment_runner-0.0.9.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Name: ml-experiment-runner\nVersion: 0.0.9\n")
    if origin:
        (facts / "direct_url.json").write_text(json.dumps(origin))
    if package:
        (site / "ml_experiment_runner").mkdir()
        (site / "ml_experiment_runner" / "__init__.py").touch()


def ask(*path: Path) -> dict[str, Any]:
    """What another Python says that looks in these folders."""
    text = Path(installed_runner.__file__).read_text()
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(
        [sys.executable, "-S", "-c", text], env=variables, capture_output=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of the runner's repository."""
    folder = tmp_path / "check out"
    package = folder / "src" / "ml_experiment_runner"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (folder / "pyproject.toml").write_text('[project]\nversion = "0.0.7"\n')
    git(folder, "init", "-q")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def test_each_source_of_the_runner_is_recognised(tmp_path: Path) -> None:
    for name, origin, expected in (
        ("git", GIT, {"source": "git", "commit": COMMIT, "address": GIT["url"]}),
        ("wheel", WHEEL, {"source": "file", "sha256": "1234", "address": "file:///r.whl"}),
        ("index", None, {"source": "index"}),
    ):
        install(tmp_path / name, origin)
        package = str(tmp_path / name / "ml_experiment_runner")
        assert ask(tmp_path / name) == {"version": "0.0.9", **expected, "package": package}
    assert ask() == {"source": "missing"}


def test_checkout_is_described_with_its_state(checkout: Path, tmp_path: Path) -> None:
    origin = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
    install(tmp_path / "site", origin, package=False)
    path = (tmp_path / "site", checkout / "src")
    first = ask(*path)
    assert first["source"] == "folder"
    assert first["address"] == str(checkout)
    assert first["commit"] == git(checkout, "rev-parse", "HEAD")
    assert (first["editable"], first["changed"]) == (True, False)

    (checkout / "src" / "ml_experiment_runner" / "new.py").touch()
    changed = ask(*path)
    assert changed["changed"] is True
    assert changed["digest"] != first["digest"]
    (checkout / "src" / "ml_experiment_runner" / "new.py").unlink()
    assert ask(*path) == first


def test_code_on_the_path_is_not_taken_for_the_installed_one(
    checkout: Path, tmp_path: Path
) -> None:
    install(tmp_path / "site", GIT)
    told = ask(checkout / "src", tmp_path / "site")
    assert (told["source"], told["version"], told["installed"]) == ("folder", "0.0.7", False)


def test_run_records_its_runner_without_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = "ml-experiment-runner @ git+https://me:s3cret-w0rd@example.com/r@" + COMMIT
    (tmp_path / "requirements-runner.txt").write_text(f"# The runner\n{pin}\n")
    facts = {"version": "0.0.9", **installed_runner.origin_facts(GIT), "package": "/x"}
    monkeypatch.setattr(provenance, "installed_runner", lambda: facts)
    notes: dict[str, Any] = {}
    provenance.Git(tmp_path, tmp_path / "outputs", notes.__setitem__, print).run()
    assert notes["runner"]["commit"] == COMMIT
    assert notes["runner"]["pin"].endswith(f"@example.com/r@{COMMIT}")
    assert "s3cret" not in str(notes)
    assert "tok3n" not in str(notes)
    assert notes["extras"] == []


def test_run_records_the_state_of_a_checkout(tmp_path: Path) -> None:
    notes: dict[str, Any] = {}
    provenance.Git(tmp_path, tmp_path / "outputs", notes.__setitem__, print).run()
    runner = notes["runner"]
    assert runner["address"] == str(SOURCE.parent)
    assert runner["commit"] == git(SOURCE, "rev-parse", "HEAD")
    assert len(runner["digest"]) == 64
    assert runner["changed"] is bool(git(SOURCE, "status", "--porcelain", "."))


GIT_PIN = f"ml-experiment-runner @ git+https://example.com/r@{COMMIT}"


@pytest.mark.parametrize(
    ("pin", "installed", "good"),
    [
        (GIT_PIN, {"source": "git", "commit": COMMIT}, True),
        (GIT_PIN, {"source": "git", "commit": OTHER}, False),
        (GIT_PIN, {"source": "folder", "commit": COMMIT, "address": "/r"}, False),
        (GIT_PIN, {"source": "missing"}, False),
        ("ml-experiment-runner==0.0.9", {"source": "index"}, True),
        ("ml-experiment-runner==0.0.9 --hash=sha256:1", {"source": "index"}, True),
        ("ml-experiment-runner==0.0.8", {"source": "index"}, False),
        ("ml-experiment-runner @ file:///a%20b/r.whl",
         {"source": "file", "address": "file:///a%20b/r.whl"}, True),
        ("ml-experiment-runner @ file:///other.whl",
         {"source": "file", "address": "file:///r.whl"}, False),
        ("", {"source": "index"}, False),
    ],
)  # fmt: skip
def test_doctor_compares_the_runner_with_its_pin(
    pin: str,
    installed: dict[str, Any],
    good: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "requirements-runner.txt").write_text(f"# The runner\n{pin}\n")
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    facts = {"version": "0.0.9", **installed}
    monkeypatch.setattr(doctor, "runner_with_state", lambda: facts)
    name, healthy, detail = doctor.check_runner()
    assert (name, healthy) == ("runner", good)
    if pin and not good:
        assert detail.endswith(f"instead of {pin} as requirements-runner.txt says: make setup")
    if not pin:
        assert "requirements-runner.txt must name the runner in exactly one line" in detail


def test_doctor_knows_a_remembered_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements-runner.txt").write_text(GIT_PIN + "\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "ml-experiment.runner", str(tmp_path / "checkout"))
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    facts = {"version": "0.0.9", "source": "folder", "address": str(tmp_path / "checkout")}
    monkeypatch.setattr(doctor, "runner_with_state", lambda: facts)
    assert doctor.check_runner()[1]
    facts["address"] = str(tmp_path / "another")
    _, healthy, detail = doctor.check_runner()
    assert not healthy
    assert detail.endswith("/checkout as .git/config says: make setup")


def test_pin_is_the_only_line_that_is_not_a_comment(tmp_path: Path) -> None:
    file = tmp_path / "requirements-runner.txt"
    assert pin_line(tmp_path) is None
    file.write_text("# why\n\nml-experiment-runner==1 \\\n    --hash=sha256:12\n")
    assert pin_line(tmp_path) == "ml-experiment-runner==1"
    file.write_text("one==1\ntwo==2\n")
    assert pin_line(tmp_path) is None
