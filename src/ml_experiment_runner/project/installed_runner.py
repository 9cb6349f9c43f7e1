"""The installed runner: its version, and from where it was installed.

It imports only the standard library, so that the Python of another environment can run this file's
text: `python -c "<text>"` prints what `runner_with_state` returns, as JSON.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.parse
from contextlib import suppress
from pathlib import Path
from typing import Any

DISTRIBUTION = "ml-experiment-runner"
PACKAGE = "ml_experiment_runner"
PLUGINS = "hydra_plugins"
_OMITTED = ("__pycache__", ".egg-info")


def installed_runner() -> dict[str, Any]:
    """What is known without a subprocess.

    Returns:
        A JSON object; keys that do not apply are left out:

        - `version`: the distribution's, or that of the checkout's `pyproject.toml`;
        - `source`: `git` (an address with a commit), `file` (a wheel), `index`, `folder` (a
          checkout, editable or only on Python's path), or `missing`;
        - `address`: of the repository, the wheel or the checkout, with its login: mask it before it
          is shown or kept;
        - `commit`: the full id, of a git address;
        - `sha256`: of a wheel;
        - `editable`: whether the code of a checkout is used in place;
        - `installed`: false for a checkout that is only on Python's path;
        - `package`: the folder that the package is imported from.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return {"source": "missing"}
    package = Path(spec.origin).resolve().parent
    facts = _distribution(package) or _checkout(package)
    return {**facts, "package": str(package)}


def runner_with_state() -> dict[str, Any]:
    """`installed_runner` with the state of a checkout; calls git, which takes about 20 ms.

    Returns:
        For the source `folder` also:

        - `digest`: SHA-256 of the names and contents of all files, Hydra plugins included;
        - `commit`: the commit that is checked out;
        - `changed`: whether the package differs from that commit.
    """
    facts = installed_runner()
    if facts["source"] == "folder":
        package = Path(facts["package"])
        facts["digest"] = digest(package)
        folder, source = facts["address"], str(package.parent)
        if package.is_relative_to(folder):
            with suppress(OSError, subprocess.CalledProcessError):
                facts["commit"] = _git(folder, "rev-parse", "--verify", "-q", "HEAD")
                facts["changed"] = bool(_git(folder, "status", "--porcelain", "--", source))
    return facts


def digest(package: Path) -> str:
    """SHA-256 of the names and contents of the runner's files, its Hydra plugins included."""
    total = hashlib.sha256()
    for top in (package, package.parent / PLUGINS / PACKAGE):
        for place, folders, files in os.walk(top):
            folders[:] = sorted(name for name in folders if not name.endswith(_OMITTED))
            for name in sorted(files):
                path = Path(place, name)
                if path.suffix != ".pyc":
                    content = hashlib.sha256(path.read_bytes()).digest()
                    total.update(path.relative_to(package.parent).as_posix().encode() + content)
    return total.hexdigest()


def _distribution(package: Path) -> dict[str, Any] | None:
    """Facts on the distribution that the package belongs to; None if it is not installed."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        text = distribution.read_text("direct_url.json")
        origin = json.loads(text) if text else {}
        facts = {"version": distribution.version, **origin_facts(origin)}
        if facts["source"] == "folder" and facts["editable"]:
            return facts if package.is_relative_to(facts["address"]) else None
        # another copy may precede it on Python's path
        home = Path(str(distribution.locate_file(PACKAGE))).resolve()
        return facts if home == package else None
    return None


def origin_facts(origin: dict[str, Any]) -> dict[str, Any]:
    """The contents of `direct_url.json` (PEP 610); without it, the runner is from an index."""
    if not origin:
        return {"source": "index"}
    url = origin["url"]
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        return {"source": "git", "address": url, "commit": commit}
    if "dir_info" in origin:
        editable = bool(origin["dir_info"].get("editable"))
        return {"source": "folder", "address": str(path_of(url).resolve()), "editable": editable}
    archive = origin.get("archive_info", {})
    sha256 = archive.get("hashes", {}).get("sha256") or archive.get("hash", "").partition("=")[2]
    return {"source": "file", "address": url, **({"sha256": sha256} if sha256 else {})}


def path_of(url: str) -> Path:
    """The path of a `file:` address; importing `urllib.request`, which has this, takes 30 ms."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    return Path(path.lstrip("/") if re.match("/+[A-Za-z]:", path) else path)


def _checkout(package: Path) -> dict[str, Any]:
    """A package that is only on Python's path."""
    folder = package.parents[1]
    with suppress(OSError):
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
        if version := re.search(r'^version = "([^"]+)"', text, re.MULTILINE):
            return {"version": version[1], "source": "folder", "address": str(folder),
                    "installed": False}  # fmt: skip
    return {"version": "unknown", "source": "folder", "address": str(package.parent),
            "installed": False}  # fmt: skip


def _git(folder: str, *arguments: str) -> str:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, encoding="utf-8",
        check=True, start_new_session=True,
    )  # fmt: skip
    return done.stdout.strip()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(runner_with_state()))
