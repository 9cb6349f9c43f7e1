"""Bring in the template's newer version, then lock and install what it needs.

Arguments go to cruft: `--checkout v0.2.0` takes that version.
"""

import json
import subprocess
import sys

from environment import ROOT, python
from setup import find_uv

CRUFT = "cruft@2.16.0"


def answers_hold_code() -> bool:
    """Whether an answer in `.cruft.json` holds template syntax, which an update would run."""
    path = ROOT / ".cruft.json"
    if not path.is_file():
        return False
    # written anew, so that an escaped brace is one too
    text = json.dumps(json.loads(path.read_text(encoding="utf-8")))
    return any(opening in text for opening in ("{" + "{", "{" + "%", "{" + "#"))


def conflicts() -> list[str]:
    """The files that git could not merge."""
    command = ["git", "diff", "--name-only", "--diff-filter=U"]
    unmerged = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    rejected = [path.relative_to(ROOT) for path in ROOT.rglob("*.rej")]
    ours = [str(path) for path in rejected if path.parts[0] not in (".git", ".venv")]
    return sorted({*unmerged.stdout.splitlines(), *ours})


def main(arguments: list[str]) -> int:
    """Update, or say which files need a person."""
    if answers_hold_code():
        sys.exit(
            ".cruft.json: an answer holds template syntax, which the update would run as code.\n"
            "See who wrote it with git log -p .cruft.json, and replace it by plain text."
        )
    uv = find_uv()
    if uv is None:
        sys.exit("uv is not installed: run make setup first.")
    command = [*uv, "tool", "run", "--quiet", CRUFT, "update", "--skip-apply-ask", *arguments]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        status = ["git", "status", "--porcelain"]
        if subprocess.run(status, cwd=ROOT, capture_output=True, check=False).stdout:
            print("The working tree has changes: commit them, or put them away: git stash -u\n"
                  "Of an update that was interrupted, too; then run it again.")  # fmt: skip
        return 1
    if conflicts():
        print("Both you and the template changed these; resolve them, then: make lock setup test")
        print("\n".join(f"  {path}" for path in conflicts()))
        return 1
    for script in ("lock.py", "setup.py"):
        subprocess.run([python(), f"tools/{script}"], cwd=ROOT, check=True)
    print("See what changed with git diff HEAD, run the tests, and commit.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
