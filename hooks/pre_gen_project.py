"""Refuse invalid answers before anything is generated."""

import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path, PurePath
from typing import Any

# "tojson" leaves no single quote in the answers, so none of them is read as Python.
ANSWERS = json.loads(r'''{{ cookiecutter|tojson }}''')  # fmt: skip


def refusal(answers: dict[str, Any]) -> str | None:
    """A message for the first invalid answer: what it must be and what it is; else None."""
    for name in ("project_name", "description", "author_name", "author_email"):
        text = answers[name]
        # "cruft update" would render such an answer again, with another result
        for opening in ("{" + "{", "{" + "%", "{" + "#"):
            if opening in text:
                return f"{name} must be plain text, got template syntax ({opening})."
        for character in text:
            if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and (
                character not in "\n\r\t"
            ):
                return (
                    f"{name} must contain only text, line breaks and tabs, got the control "
                    f"character U+{ord(character):04X}."
                )
    slug, package = answers["project_slug"], answers["package_name"]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", slug):
        return (
            "project_slug must be at most 100 letters a-z, digits, '-' and '_', with a letter or "
            f"digit first, such as 'flight-delays', got {slug!r}."
        )
    if slug.lower() in answers["_devices"].split():
        return f"project_slug must not be the name of a device on Windows, got {slug!r}."
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", package):
        return (
            "package_name must be at most 100 lower case letters, digits and '_', with a letter "
            f"first, such as 'flight_delays', got {package!r}."
        )
    if package in answers["_taken"].split() or package in sys.stdlib_module_names:
        return (
            f"package_name must not be a module of Python or of an installed package, got "
            f"{package!r}; choose another name, such as '{package}_project'."
        )
    return None


REMOVE = """
import contextlib, os, sys, time
innermost, *outer = sys.argv[1:]
for _ in range(500):
    if not os.path.exists(innermost):
        break
    time.sleep(0.02)
for folder in outer:
    with contextlib.suppress(OSError):
        os.rmdir(folder)
"""


def remove_outer_folders(slug: str, output: str) -> None:
    """Remove the folders that cookiecutter made for a slug such as `a/b`; it removes only `a/b`.

    It does so after this hook, and fails with its own error if that folder does not exist. So
    a background process removes the outer folders later, if they are empty.
    """
    names = PurePath(slug).parts
    outer = [str(Path(output, *names[:count])) for count in range(len(names) - 1, 0, -1)]
    if outer:
        subprocess.Popen(
            [sys.executable, "-c", REMOVE, str(Path.cwd()), *outer],
            cwd=Path.cwd().anchor,  # Windows cannot remove the working directory of a process
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    problem = refusal(ANSWERS)
    if problem:
        # a terminal may not support every character of an answer
        print(f"Refused: {problem}".encode("ascii", "backslashreplace").decode(), file=sys.stderr)
        print("Cookiecutter's own report follows.", file=sys.stderr, flush=True)
        if "_output_dir" in ANSWERS:  # cruft generates into a folder that it removes
            remove_outer_folders(ANSWERS["project_slug"], ANSWERS["_output_dir"])
        sys.exit(1)
