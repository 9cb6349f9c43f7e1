"""A project in git whose set-up and `run.py` are stand-ins, and a run that was recorded in it.

Its set-up makes an environment without packages in which `ml_experiment_runner` is a stub that was
installed as the pin says. Its `run.py` repeats the recorded metrics, times the stub's factor.
"""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from ml_experiment_runner.project.repository import MARKS
from support.folders import write_run

COMMIT = "a" * 40
PIN = f"ml-experiment-runner @ git+https://example.com/runner@{COMMIT}"

SETUP = r"""
import json, os, re, signal, subprocess, sys, venv
from pathlib import Path

root = Path(__file__).resolve().parents[1]
pin = (root / "requirements-runner.txt").read_text().strip()
asked = ["git", "config", "--local", "--get", "ml-experiment.runner"]
remembered = subprocess.run(asked, cwd=root, capture_output=True, text=True).stdout.strip()
calls = Path(CALLS)
with calls.open("a") as file:
    file.write(json.dumps({"extras": sys.argv[1:], "pin": pin, "remembered": remembered}) + "\n")
print("Installing the locked packages", flush=True)
venv.create(root / ".venv", symlinks=True)
if (calls.parent / "killed").exists():
    os.kill(os.getpid(), signal.SIGKILL)
if "unreachable" in pin:
    print("error: Git operation failed", file=sys.stderr)
    sys.exit(f"Cannot install the runner from {pin} (no such host). Write another address.")
[packages] = (root / ".venv").glob("lib/*/site-packages")
(packages / "ml_experiment_runner").mkdir()
(packages / "ml_experiment_runner" / "__init__.py").write_text("FACTOR = 1\n")
facts = packages / "ml_experiment_runner-0.0.9.dist-info"
facts.mkdir()
(facts / "METADATA").write_text("Name: ml-experiment-runner\nVersion: 0.0.9\n")
url, commit = re.search(r"git\+(\S+)@([0-9a-f]{40})", pin).groups()
if (calls.parent / "another").exists():
    commit = "b" * 40
origin = {"url": url, "vcs_info": {"vcs": "git", "commit_id": commit}}
(facts / "direct_url.json").write_text(json.dumps(origin))
"""

RUN = r"""
import json, os, sys
from pathlib import Path

import ml_experiment_runner

words = {word.partition("=")[0]: word.partition("=")[2].strip("'") for word in sys.argv[1:]}
[journal] = Path(words["outputs"]).glob(f"*/*/*-{os.environ['RUNNER_RERUN_OF']}/journal.jsonl")
place = Path(words["hydra.run.dir"])
place.mkdir(parents=True)
with (place / "journal.jsonl").open("w") as file:
    for event in map(json.loads, journal.read_text().splitlines()):
        if event["kind"] == "metric" and event["name"] == "test/roc_auc":
            event["value"] *= getattr(ml_experiment_runner, "FACTOR", 2)
        if event["kind"] == "start":
            event["id"] = place.name[-8:]
        file.write(json.dumps(event) + "\n")
names = ("ML_EXPERIMENT_ROOT", "PYTHONPATH", "RUNNER_RERUN_OF", "RUNNER_RERUN_AT")
told = {name: os.environ.get(name) for name in names}
print("child " + json.dumps({**told, "python": sys.executable}))
"""


class RecordedProject:
    """The project and its run, which an environment of then gives again."""

    def __init__(self, folder: Path, **provenance: Any) -> None:
        self.folder = folder
        self.calls = folder.parent / "calls.jsonl"
        (folder / "conf").mkdir(parents=True)
        (folder / "tools").mkdir()
        (folder / "src" / "own").mkdir(parents=True)
        for mark in MARKS:
            (folder / mark).touch()
        (folder / "run.py").write_text(RUN)
        (folder / "src" / "own" / "__init__.py").touch()
        (folder / "tools" / "setup.py").write_text(SETUP.replace("CALLS", repr(str(self.calls))))
        (folder / "requirements.lock").write_text("polars==1.0\n")
        (folder / "requirements-runner.txt").write_text(f"# The runner.\n{PIN}\n")
        (folder / ".gitignore").write_text("/outputs/\n/data/cache/\n")
        self.git("init", "-q")
        self.commit()
        self.run = self.record(**provenance)

    def record(self, **provenance: Any) -> Path:
        """A run that was made from the present commit and files; gives its folder."""
        lock = (self.folder / "requirements.lock").read_bytes()
        facts = {
            "git_commit": self.git("rev-parse", "HEAD").strip(),
            "git_dirty": False,
            "overrides": [],
            "extras": [],
            "lock_sha256": hashlib.sha256(lock).hexdigest(),
            "runner": {"version": "0.0.9", "source": "git", "commit": COMMIT, "pin": PIN,
                       "address": "https://example.com/runner"},
        }  # fmt: skip
        place = "a/2026-11-01/10-00-00-aaaa1111"
        params = {"package": "own"}
        return write_run(self.folder / "outputs", place, params=params, **facts | provenance)

    def change_provenance(self, **values: Any) -> None:
        """Changes what the record says."""
        path = self.run / "journal.jsonl"
        events = [json.loads(line) for line in path.read_text().splitlines()]
        for event in events:
            if event.get("name") in values:
                event["value"] = values[event["name"]]
        path.write_text("".join(json.dumps(event) + "\n" for event in events))

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(
            ["git", *who, *words], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "one")

    def setups(self) -> list[dict[str, Any]]:
        """What each call of the set-up was given."""
        if not self.calls.is_file():
            return []
        return [json.loads(line) for line in self.calls.read_text().splitlines()]

    def environments(self) -> list[Path]:
        """The kept environments."""
        return sorted((self.folder / "data" / "cache" / "environments").glob("[0-9a-f]*"))
