"""Prune what was not chosen, make the first commit, remember the template, say what comes next."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# The answers arrive as JSON in which "tojson" leaves no single quote: nothing in them is read as
# Python.
ANSWERS = json.loads(r'''{{ cookiecutter|tojson }}''')  # fmt: skip

# What belongs to one choice only: it is removed for every other.
BELONGS_TO = {
    "example": {
        "flights": [
            "conf/dataset",
            "conf/experiment",
            "requirements-example.in",
            "requirements-example.lock",
            "signals",
            "src/{package_name}/features.py",
        ],
    },
    "ci": {"github": [".github/workflows"], "gitlab": [".gitlab-ci.yml"]},
    "license": {name: ["LICENSE"] for name in ("MIT", "Apache-2.0", "BSD-3-Clause")},
}


def prune(project: Path, answers: dict) -> None:
    """Remove the files that belong to a choice that was not made."""
    for question, choices in BELONGS_TO.items():
        kept = choices.get(answers[question], [])
        for path in {path for paths in choices.values() for path in paths}.difference(kept):
            target = project / path.format(**answers)
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
            if target.parent != project and not any(target.parent.iterdir()):
                target.parent.rmdir()


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder, deaf to the repository that a calling git hook may have named."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**environment, "GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def outer_repository(project: Path) -> str | None:
    """The repository that the project would become a part of: one that does not ignore it."""
    top = git(project, "rev-parse", "--show-toplevel")
    if top.returncode or git(project, "check-ignore", "--quiet", ".").returncode == 0:
        return None
    return top.stdout.strip()


def without_secrets(url: str) -> str:
    """The URL without password, and without user where a user is not part of the address."""
    url = re.sub(r"^(https?://)[^/@]*@", r"\1", url)
    return re.sub(r"^(\w+://[^/@:]*):[^/@]*@", r"\1@", url)


def linked_template(answers: dict) -> tuple[str, str] | None:
    """The template's URL and commit, where it is a clean clone of a repository with an origin."""
    clone = Path(answers.get("_repo_dir") or "")
    if not (clone / ".git").exists():
        return None
    origin = git(clone, "config", "--get", "remote.origin.url").stdout.strip()
    commit = git(clone, "rev-parse", "HEAD")
    status = git(clone, "status", "--porcelain")
    if not origin or commit.returncode or status.returncode or status.stdout.strip():
        return None
    if "://" not in origin and (clone / origin).exists():
        origin = str((clone / origin).resolve())
    return without_secrets(origin), commit.stdout.strip()


def remember_template(project: Path, answers: dict) -> bool:
    """Write `.cruft.json` as `cruft create` would, if the template can be found again."""
    linked = linked_template(answers)
    if linked is None:
        return False
    url, commit = linked
    given = {key: value for key, value in answers.items() if not key.startswith("_")}
    state = {
        "template": url,
        "commit": commit,
        "checkout": answers.get("_checkout"),
        "context": {"cookiecutter": {**given, "_template": url, "_commit": commit}},
        "directory": None,
    }
    text = json.dumps(state, ensure_ascii=False, indent=2)
    (project / ".cruft.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    return True


def first_commit(project: Path, answers: dict) -> str | None:
    """Make the repository and its first commit; say in one line what stopped it."""
    later = "later: git init -b main && git add . && git commit -m 'Start'"
    if shutil.which("git") is None:
        return f"git is not installed, so nothing is committed yet; {later}"
    outer = outer_repository(project)
    if outer is not None:
        return f"This is part of the repository {outer}: commit it there."
    # Signing could ask for a passphrase, and hooks of the user's are not meant for this commit.
    settings = ["-c", "init.defaultBranch=main", "-c", "commit.gpgSign=false"]
    settings += ["-c", "core.safecrlf=false", "-c", f"core.hooksPath={os.devnull}"]
    for key in ("name", "email"):
        if not git(project, "config", f"user.{key}").stdout.strip():
            settings += ["-c", f"user.{key}={' '.join(answers[f'author_{key}'].split()) or 'unknown'}"]
    commands = (["init"], ["add", "."], ["commit", "--message", "Start from the template"])
    for command in commands:
        result = git(project, *settings, *command)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            return f"git {command[0]} did not work ({reason}); {later}"
    return None


def next_steps(project: Path, answers: dict) -> str:
    """The next two commands."""
    run = "+experiment=baseline" if answers["example"] == "flights" else ""
    if os.name == "nt":
        first, second = "py tools\\setup.py", f".venv\\Scripts\\python run.py {run}"
    else:
        first, second = "make setup", f".venv/bin/python run.py {run}"
    return f'Next:\n  cd "{project.name}" && {first}\n  {second.rstrip()}'


def main() -> None:
    """Finish the project that cookiecutter has just written."""
    project = Path.cwd()
    prune(project, ANSWERS)
    # cruft runs this hook at every update: more than pruning would stop it.
    if "_commit" in ANSWERS:
        return
    sys.stdout.reconfigure(errors="replace")
    notes = []
    if (project / ".git").exists():
        notes.append("This folder is a repository already: nothing is committed.")
        linked = (project / ".cruft.json").exists()
    else:
        linked = shutil.which("git") is not None and remember_template(project, ANSWERS)
        note = first_commit(project, ANSWERS)
        notes += [note] if note else []
    if not linked:
        notes.append("To receive the template's updates: cruft link <URL of the template>")
    print("\n".join([*notes, next_steps(project, ANSWERS)]), flush=True)


if __name__ == "__main__":
    main()
