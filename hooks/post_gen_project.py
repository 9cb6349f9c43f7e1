"""Prune what was not chosen, make the first commit, remember the template, say what comes next."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def prune(project: Path, answers: dict[str, Any]) -> None:
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
    named = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
    environment = {key: value for key, value in os.environ.items() if key not in named}
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


def template_origin(answers: dict[str, Any]) -> str | None:
    """The URL that the template was cloned from."""
    clone = Path(answers.get("_repo_dir") or os.devnull)
    if not (clone / ".git").exists() or shutil.which("git") is None:
        return None
    url = git(clone, "config", "--get", "remote.origin.url").stdout.strip()
    if "://" not in url and (clone / url).exists():
        url = str((clone / url).resolve()) if url else ""
    return without_secrets(url) or None


def link_docs(project: Path, url: str | None) -> None:
    """Let the README say where the template and its docs are, if others can reach that address."""
    readme, words = project / "README.md", "`docs/` of the template"
    if url and re.fullmatch(r"https?://[^\s<>()\[\]]+", url):
        linked = words.replace("the template", f"[the template]({url})")
    elif url and re.fullmatch(r"(ssh|git)://[\w.@:/~-]+|[\w.-]+@[\w.-]+:[\w./~-]+", url):
        linked = f"{words} (`{url}`)"
    else:
        return  # a folder of this machine
    text = readme.read_text(encoding="utf-8")
    with readme.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text.replace(words, linked))


def remember_template(project: Path, answers: dict[str, Any], url: str) -> bool:
    """Write `.cruft.json` as `cruft create` would, if the clone is what its commit says."""
    commit = git(Path(answers["_repo_dir"]), "rev-parse", "HEAD").stdout.strip()
    status = git(Path(answers["_repo_dir"]), "status", "--porcelain")
    if not commit or status.returncode or status.stdout.strip():
        return False
    given = {key: value for key, value in answers.items() if not key.startswith("_")}
    state = {
        "template": url,
        "commit": commit,
        "checkout": answers.get("_checkout"),
        "context": {"cookiecutter": {**given, "_template": url, "_commit": commit}},
        "directory": None,
    }
    with (project / ".cruft.json").open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(state, ensure_ascii=False, indent=2) + "\n")
    return True


def first_commit(project: Path, answers: dict[str, Any]) -> str | None:
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
    if git(project, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT").returncode:
        for key in ("name", "email"):
            settings += ["-c", f"user.{key}={answers[f'author_{key}'].strip() or 'unknown'}"]
    commands = (["init"], ["add", "."], ["commit", "--message", "Start from the template"])
    for command in commands:
        result = git(project, *settings, *command)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            return f"git {command[0]} did not work ({reason}); {later}"
    return None


def next_steps(project: Path, answers: dict[str, Any]) -> str:
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
    under_cruft = "_commit" in ANSWERS
    url = without_secrets(ANSWERS["_template"]) if under_cruft else template_origin(ANSWERS)
    link_docs(project, url)
    # cruft runs this hook at every update: more than pruning would stop it.
    if under_cruft:
        return
    notes = []
    if (project / ".git").exists():
        notes.append("This folder is a repository already: nothing is committed.")
        linked = (project / ".cruft.json").exists()
    else:
        linked = url is not None and remember_template(project, ANSWERS, url)
        note = first_commit(project, ANSWERS)
        notes += [note] if note else []
    if not linked:
        notes.append(f"To receive the template's updates: cruft link {url or '<its URL>'}")
    text = "\n".join([*notes, next_steps(project, ANSWERS)]) + "\n"
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", errors="replace"))


if __name__ == "__main__":
    main()
