"""Prune, pin the runner, make the first commit, remember the template, print the next steps."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

# "tojson" leaves no single quote in the answers, so none of them is read as Python.
ANSWERS = json.loads(r'''{{ cookiecutter|tojson }}''')  # fmt: skip

# Paths that belong to one choice only; they are removed for every other choice.
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
    """Run git in a folder, without the repository that a calling git hook may have set."""
    variables = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
    environment = {key: value for key, value in os.environ.items() if key not in variables}
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
    """The repository that contains the project, unless it ignores the project."""
    top = git(project, "rev-parse", "--show-toplevel")
    if top.returncode or git(project, "check-ignore", "--quiet", ".").returncode == 0:
        return None
    return top.stdout.strip()


def without_secrets(url: str) -> str:
    """The URL without password, and without user where the address works without it."""
    url = re.sub(r"^(https?://)[^/@]*@", r"\1", url)
    return re.sub(r"^(\w+://[^/@:]*):[^/@]*@", r"\1@", url)


def template_folder(answers: dict[str, Any]) -> Path | None:
    """The template's folder; None for a zip file, which is unpacked only temporarily."""
    typed = answers.get("_repo_dir")
    if not typed or str(answers.get("_template", "")).lower().endswith(".zip"):
        return None
    # a typed path is relative to the working directory of the command, not of the hook
    starts = (os.environ.get("PWD", ""), answers.get("_output_dir", ""))
    folders = [Path(start, typed) for start in starts]
    return next((folder.resolve() for folder in folders if folder.is_dir()), None)


def template_origin(clone: Path | None) -> str | None:
    """The URL that the template was cloned from."""
    if clone is None or not (clone / ".git").exists() or shutil.which("git") is None:
        return None
    url = git(clone, "config", "--get", "remote.origin.url").stdout.strip()
    if "://" not in url and (clone / url).exists():
        url = str((clone / url).resolve()) if url else ""
    return without_secrets(url) or None


def pin_address(url: str) -> str:
    """The URL in the form of pip and uv."""
    if "://" in url:
        return f"git+{url}"
    ssh = re.fullmatch(r"((?:[\w.-]+@)?[\w.-]{2,}):(?!\\)(.+)", url)
    if ssh:
        return f"git+ssh://{ssh[1]}/{ssh[2].lstrip('/')}"
    return f"git+{Path(url).resolve().as_uri()}"


OPTIONS = ("debug", "evaluation", "hydra", "model", "task", "threshold", "tracking")
"""Groups whose options were part of the template before the runner was a package."""


def keep_changed_options(project: Path) -> None:
    """Keep options that a team has changed, although they come with the runner now.

    A patch that deletes a changed file does not apply, and cruft would reject all other patches
    with it. So the new version contains such an option too, as it was generated. Removed in version
    1.0. The updated project is known only from the working directory of the command.
    """
    updated = Path(os.environ.get("PWD") or os.devnull)
    if not (updated / "src" / "runner").is_dir():
        return
    commit = git(updated, "log", "-1", "--format=%H", "--", ".cruft.json").stdout.strip()
    listed = git(updated, "ls-files", "-z", *(f"conf/{group}" for group in OPTIONS)).stdout
    for name in filter(None, listed.split("\0")):
        generated = git(updated, "show", f"{commit}:{name}")
        path = updated / name
        is_changed = path.is_file() and path.read_bytes() != generated.stdout.encode()
        if generated.returncode == 0 and is_changed:
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_bytes(generated.stdout.encode())


def write_pin(project: Path, url: str, commit: str) -> None:
    """Pin the runner to a commit of the template, in place of its version."""
    path = project / "requirements-runner.txt"
    comment = path.read_text(encoding="utf-8").rpartition("ml-experiment-runner==")[0]
    line = f"ml-experiment-runner @ {pin_address(url)}@{commit}"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{comment}{line}\n")


def state_of(clone: Path) -> tuple[str, bool]:
    """The clone's commit, and whether its origin has the same contents."""
    commit = git(clone, "rev-parse", "HEAD").stdout.strip()
    changed = git(clone, "status", "--porcelain").stdout.strip()
    pushed = git(clone, "for-each-ref", "--count=1", "--contains=HEAD", "refs/remotes", "refs/tags")
    return commit, bool(commit and not changed and pushed.stdout.strip())


def pin_runner(project: Path, clone: Path | None, url: str | None) -> str | None:
    """Pin the runner to the template; return why that is not enough, if so."""
    if clone is None:
        return (
            "The template is an archive, so requirements-runner.txt names only the version of the "
            "runner: add an address or index that has it."
        )
    if url is None:
        return "The template has no address: write one to requirements-runner.txt for colleagues."
    commit, is_pushed = state_of(clone)
    if commit:
        write_pin(project, url, commit)
    if is_pushed:
        return None
    return "The template differs from its origin: push it for your colleagues."


def remember_runner(project: Path, clone: Path, is_new: bool) -> str:
    """Use the runner of the template's folder on this machine; return a note on it."""
    command = ("config", "--local", "ml-experiment.runner", str(clone))
    if is_new and (project / ".git").is_dir() and git(project, *command).returncode == 0:
        return f"This machine uses the runner in {clone} (see .git/config)."
    return f'To use its runner here: make setup ARGS="--runner {clone}"'


def link_docs(project: Path, url: str | None) -> None:
    """Link the template's docs in the README, if its address is not local."""
    readme, text = project / "README.md", "`docs/` of the template"
    if url and re.fullmatch(r"https?://[^\s<>()\[\]]+", url):
        linked = text.replace("the template", f"[the template]({url})")
    elif url and re.fullmatch(r"(ssh|git)://[\w.@:/~-]+|[\w.-]+@[\w.-]+:[\w./~-]+", url):
        linked = f"{text} (`{url}`)"
    else:
        return
    content = readme.read_text(encoding="utf-8")
    with readme.open("w", encoding="utf-8", newline="\n") as file:
        file.write(content.replace(text, linked))


def remember_template(project: Path, answers: dict[str, Any], clone: Path, url: str) -> bool:
    """Write `.cruft.json` as `cruft create` would, if the clone has no changes."""
    commit = git(clone, "rev-parse", "HEAD").stdout.strip()
    status = git(clone, "status", "--porcelain")
    if not commit or status.returncode or status.stdout.strip():
        return False
    given = {key: answers[key] for key in answers if not key.startswith("_") or key == "_version"}
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
    """Make the repository and its first commit; return a line if that fails."""
    later = "later: git init -b main && git add . && git commit -m 'Start'"
    if shutil.which("git") is None:
        return f"git is not installed, so nothing is committed yet; {later}"
    outer = outer_repository(project)
    if outer is not None:
        return f"The project is in the repository {outer}: commit it there."
    # signing could ask for a passphrase, and the user's hooks are not meant for this commit
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
            return f"git {command[0]} failed ({reason}); {later}"
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
    # cruft runs this hook at every update; git init or .cruft.json would make it fail
    if "_commit" in ANSWERS:
        url: str | None = without_secrets(ANSWERS["_template"])
        link_docs(project, url)
        write_pin(project, str(url), ANSWERS["_commit"])
        keep_changed_options(project)
        return
    clone = template_folder(ANSWERS)
    url = template_origin(clone)
    link_docs(project, url)
    problem = pin_runner(project, clone, url)
    notes, is_new = [], not (project / ".git").exists()
    if is_new:
        linked = bool(clone and url and remember_template(project, ANSWERS, clone, url))
        note = first_commit(project, ANSWERS)
        notes += [note] if note else []
    else:
        notes.append("The folder is already a git repository: nothing is committed.")
        linked = (project / ".cruft.json").exists()
    if problem:
        notes.append(f"{problem} {remember_runner(project, clone, is_new)}" if clone else problem)
    if not linked:
        notes.append(f"To get updates of the template: cruft link {url or '<its URL>'}")
    text = "\n".join([*notes, next_steps(project, ANSWERS)]) + "\n"
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", errors="replace"))


if __name__ == "__main__":
    main()
