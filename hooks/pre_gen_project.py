"""Refuse, before anything is generated, answers that would not work."""

import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path, PurePath
from typing import Any

# The answers arrive as JSON in which "tojson" leaves no single quote: nothing in them is read as
# Python.
ANSWERS = json.loads(r'''{{ cookiecutter|tojson }}''')  # fmt: skip


def refusal(answers: dict[str, Any]) -> str | None:
    """Say what is wrong with the answers and what would be accepted, or None."""
    for name in ("project_name", "description", "author_name", "author_email"):
        text = answers[name]
        # "cruft update" would render such an answer again and get something else.
        for opening in ("{" + "{", "{" + "%", "{" + "#"):
            if opening in text:
                return f"{name} holds template syntax ({opening}): plain text is accepted."
        for character in text:
            if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and (
                character not in "\n\r\t"
            ):
                return (
                    f"{name} holds the control character U+{ord(character):04X}: "
                    "text, line breaks and tabs are accepted."
                )
    slug, package = answers["project_slug"], answers["package_name"]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", slug):
        return (
            f"project_slug {slug!r} is no plain folder name: up to 100 letters a-z, digits, "
            "'-' and '_' are accepted, a letter or digit first, as in 'flight-delays'."
        )
    if slug.lower() in answers["_devices"].split():
        return f"project_slug {slug!r} is a device on Windows: any other name is accepted."
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", package):
        return (
            f"package_name {package!r} is no Python package name: up to 100 small letters a-z, "
            "digits and '_' are accepted, a letter first, as in 'flight_delays'."
        )
    if package in answers["_taken"].split() or package in sys.stdlib_module_names:
        return (
            f"package_name {package!r} is taken by Python or an installed package: "
            f"a name of its own is accepted, as in '{package}_project'."
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
    """Remove what cookiecutter made for a slug of several folders: it removes only the innermost.

    It does so when this hook has ended, and its own error hides ours where that folder is gone. So
    a process that stays behind removes the outer ones, if they are empty.
    """
    parts = PurePath(slug).parts
    outer = [str(Path(output, *parts[:count])) for count in range(len(parts) - 1, 0, -1)]
    if outer:
        subprocess.Popen(
            [sys.executable, "-c", REMOVE, str(Path.cwd()), *outer],
            cwd=Path.cwd().anchor,  # an occupied folder cannot be removed everywhere
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    problem = refusal(ANSWERS)
    if problem:
        # A terminal may not know every character of an answer.
        print(f"Refused: {problem}".encode("ascii", "backslashreplace").decode(), file=sys.stderr)
        print(
            "Answer again; what follows is cookiecutter's own report.", file=sys.stderr, flush=True
        )
        if "_output_dir" in ANSWERS:  # cruft generates into a folder that it removes
            remove_outer_folders(ANSWERS["project_slug"], ANSWERS["_output_dir"])
        sys.exit(1)
