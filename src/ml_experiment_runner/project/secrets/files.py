"""Masks files and patches."""

import re
from functools import partial
from pathlib import Path

from ml_experiment_runner.project.atomic import draft_of
from ml_experiment_runner.project.secrets.addresses import MASK
from ml_experiment_runner.project.secrets.names import is_secret_name
from ml_experiment_runner.project.secrets.registry import SHORTEST, mask, mask_name
from ml_experiment_runner.project.secrets.usual_texts import is_usual

_HEAD = 8192  # bytes at the start of a file that show whether it is text
_AT_ONCE = 16 * 1024 * 1024  # bytes; a larger file is masked line by line
_ASSIGNMENT = re.compile(
    r"(?P<before>(?P<name>[A-Za-z][\w.-]{0,60})[\"']?\s*(?::|=)\s*)"
    r"(?:(?P<quote>[\"'])(?P<quoted>[^\"']*)(?P=quote)|(?P<bare>[^\s\"',;(){}\[\]#]+))"
)


def mask_file(path: Path) -> None:
    """Masks a text file in place; a binary file, which this would break, stays as it is."""
    if path.stat().st_size <= _AT_ONCE:
        data = path.read_bytes()
        if b"\0" not in data[:_HEAD] and (masked := mask_bytes(data)) != data:
            path.write_bytes(masked)
        return
    with path.open("rb") as file:
        if b"\0" in file.read(_HEAD):
            return
        file.seek(0)
        if all(mask_bytes(line) == line for line in file):
            return
        file.seek(0)
        with draft_of(path) as draft, draft.open("wb") as copy:
            copy.writelines(map(mask_bytes, file))


def mask_bytes(data: bytes) -> bytes:
    """`mask` for a text in bytes of any encoding."""
    return mask(str(data, errors="surrogateescape")).encode(errors="surrogateescape")


def mask_patch(patch: bytes) -> tuple[bytes, list[str]]:
    """A git patch with secrets masked, and the files in which a line was masked.

    In added lines, a literal that is assigned to a secret's name is masked too; it must be in
    quotes in Python files. That is a guess. It leaves the other lines alone: git holds them as they
    are, and a patch that differs there cannot be applied.
    """
    lines = patch.decode(errors="surrogateescape").split("\n")
    files: dict[str, None] = {}
    file = ""
    is_body = False
    for number, line in enumerate(lines):
        if line.startswith("diff --git "):
            file, is_body = line.rpartition(" b/")[2].rstrip('"'), False
        elif line.startswith("@@ "):
            is_body = True
        elif not is_body:  # names of files, and binary content
            continue
        masked = line[:1] + mask_name(line[1:])  # the first character belongs to the patch
        if is_body and line.startswith("+"):
            masked = _ASSIGNMENT.sub(partial(_masked_assignment, file.endswith(".py")), masked)
        if masked != line:
            lines[number] = masked
            files[file] = None
    return "\n".join(lines).encode(errors="surrogateescape"), list(files)


def _masked_assignment(is_python: bool, assignment: re.Match[str]) -> str:
    value = assignment["quoted"] or assignment["bare"]
    if not is_secret_name(assignment["name"]) or (is_python and not assignment["quoted"]):
        return assignment[0]
    if len(value) < SHORTEST or value.startswith(("$", MASK)) or is_usual(value):
        return assignment[0]
    before = assignment["before"]
    return before + assignment[0][len(before) :].replace(value, MASK)
