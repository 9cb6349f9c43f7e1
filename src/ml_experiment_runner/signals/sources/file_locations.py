"""Finds the files of a signal: one, a folder of them, or a pattern; here or anywhere else.

Anywhere else is whatever fsspec reaches by an address: S3, Azure, SFTP, ….
"""

import contextlib
import fnmatch
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration
from ml_experiment_runner.signals.sources.file_content import Unreadable, is_of, readable_errors

# what has to be installed for an address, beside fsspec
DRIVERS = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
}
PUT = "Put it there or correct {contract}; its owner is {owner}"
_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class File:
    """One of a signal's files.

    Attributes:
        path: Where it lies on this machine.
        name: What messages call it.
        keys: What its folders say, such as `year=2024`; None for no value.
    """

    path: Path
    name: str
    keys: Mapping[str, str | None] = field(default_factory=dict)


@contextlib.contextmanager
def files(server: SourceConfiguration, root: Path) -> Iterator[list[File]]:
    """The files of a source, at least one; local copies of remote ones.

    Raises:
        Unreadable: There is none, or they cannot be had.
    """
    if "location" not in server.options:
        yield _here(server, root)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield _fetched(server, Path(folder))


def in_folder(folder: Path, shown: str, form: str) -> list[File]:
    """The files of a format in a folder, and in folders in it that are called `key=value`.

    Raises:
        Unreadable: There is none, or a folder may not be read.
    """
    with readable_errors(shown):
        return _of_format(list(_walk(folder, ())), shown, form)


def _walk(folder: Path, inside: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Files with the way to them, from the folder on."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path, (*inside, path.name)
        elif _key(path.name) and not path.is_symlink():  # a link may lead round and round
            yield from _walk(path, (*inside, path.name))


def _of_format(paths: Sequence[tuple[Path, tuple[str, ...]]], shown: str, form: str) -> list[File]:
    fitting = [(path, inside) for path, inside in paths if is_of(path.name, form)]
    # a README.txt beside tables is none of them
    named = [pair for pair in fitting if not pair[0].name.lower().endswith(".txt")] or fitting
    if not named:
        raise Unreadable(f"{shown} holds no {form} file", PUT)
    return [
        File(path, str(PurePosixPath(shown, *inside)), _keys(inside[:-1])) for path, inside in named
    ]


def _key(name: str) -> tuple[str, str] | None:
    key, sign, value = name.partition("=")
    return (unquote(key), unquote(value)) if key and sign else None


def _keys(folders: Sequence[str]) -> dict[str, str | None]:
    pairs = [pair for pair in map(_key, folders) if pair]
    return {key: None if value == _NULL else value for key, value in pairs}


def _here(server: SourceConfiguration, root: Path) -> list[File]:
    """Files in the repository, anywhere on this machine, or in an installed package."""
    written = server.origin  # with the names of variables, not what they hold
    given = server.resolved()["path"]
    with readable_errors(written):
        path = root / _home(given, written)
        if given.startswith("package:"):
            path = _in_package(given)
        if path.is_dir():
            return in_folder(path, written, server.options["format"])
        if os.path.lexists(path):
            return [File(path, written)]
        if is_pattern(given) and (matching := _matching(path, written, server.options["format"])):
            return matching
        beside = (
            [neighbour.name for neighbour in path.parent.iterdir()] if path.parent.is_dir() else []
        )
    near = f". {nearest(path.name, beside)}".rstrip(".") if beside else ""
    raise Unreadable(f"the source {written} does not exist", PUT + near)


def _home(given: str, written: str) -> Path:
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise Unreadable(f"the source {written} is in the home of an unknown user", PUT) from None


def is_pattern(name: str) -> bool:
    """Whether a path stands for all that look like it."""
    return any(sign in name for sign in "*?[")


def _matching(pattern: Path, shown: str, form: str) -> list[File]:
    """The files of a pattern; none if it is a plain name, as folders with a `[` have them."""
    base, parts = Path(pattern.anchor), list(pattern.parts[1:])
    while parts and (not is_pattern(parts[0]) or (base / parts[0]).exists()):
        base /= parts.pop(0)
    if not parts:
        return []
    start = str(PurePosixPath(*PurePosixPath(shown).parts[: -len(parts)]))
    matches = dict(_expanded(base, tuple(parts), ()))
    several = [(path, inside) for path, inside in sorted(matches.items()) if not path.is_dir()]
    if not several:
        raise Unreadable(f"{shown} holds no {form} file", PUT)
    return [
        File(path, str(PurePosixPath(start, *inside)), _keys(inside[:-1]))
        for path, inside in several
    ]


def _expanded(
    folder: Path, parts: tuple[str, ...], inside: tuple[str, ...]
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """What is in a folder and looks like the rest of a pattern."""
    if not parts:
        yield folder, inside
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _expanded(folder, rest, inside)
    for path in _listed(folder, part):
        if part != "**":
            yield from _expanded(path, rest, (*inside, path.name))
        elif path.is_dir() and not path.is_symlink():  # a link may lead round and round
            yield from _expanded(path, parts, (*inside, path.name))


def _listed(folder: Path, part: str) -> list[Path]:
    """What a folder holds that looks like one part of a pattern."""
    if not is_pattern(part):
        return [folder / part] if os.path.lexists(folder / part) else []
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if fnmatch.fnmatchcase(path.name, part)
        and (part.startswith(".") or not path.name.startswith("."))
    ]


def _in_package(given: str) -> Path:
    package, *inside = PurePosixPath(given.removeprefix("package:")).parts or ("",)
    # found, not imported: importing a package of data may load pandas and all of its tables
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise Unreadable(
            f"its source is in the package '{package}', which is not installed",
            f"Install it: python -m pip install {package}"
            if package.isidentifier()
            else "Write package:<package>/<path> in {contract}",
        )
    return Path(spec.submodule_search_locations[0]).joinpath(*inside)


def _fetched(server: SourceConfiguration, folder: Path) -> list[File]:
    """Copies of files that lie elsewhere."""
    options = server.resolved()
    location, form = options["location"], options["format"]
    with _remote(server):
        system, path = _file_system(server, options)
        paths = [path]
        if is_pattern(path):
            paths = sorted(name for name in system.glob(path) if not system.isdir(name))
        elif system.isdir(path):
            paths = sorted(
                name
                for name in system.find(path)
                if all(map(_key, _inside(name, path)[:-1]))
                and not _inside(name, path)[-1].startswith(".")
                and is_of(name, form)
            )
        if not paths:
            raise Unreadable(f"{server.origin} holds no {form} file", PUT)
        copies = []
        for number, name in enumerate(paths):
            copy = folder / f"{number:06}{PurePosixPath(name).suffix}"
            system.get_file(name, str(copy))
            shown = location if paths == [path] else system.unstrip_protocol(name)
            keys = {} if paths == [path] else _keys(_inside(name, path)[:-1])
            copies.append(File(copy, server.hide(shown), keys))
        return copies


def _inside(name: str, start: str) -> tuple[str, ...]:
    """The way to a file from the folder on, or from a pattern's first sign."""
    parts = PurePosixPath(start).parts
    fixed = next((place for place, part in enumerate(parts) if is_pattern(part)), len(parts))
    return PurePosixPath(name).parts[fixed:]


def _file_system(server: SourceConfiguration, options: Mapping[str, str]) -> tuple[Any, str]:
    import fsspec

    location = options["location"]
    protocol = location.partition("://")[0]
    # nothing remembered from before: the files may have changed
    more: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if protocol in ("s3", "s3a"):
        patience = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 3}}
        more["config_kwargs"] = patience
    for name, option in (
        ("endpointUrl", "endpoint_url"),
        ("user", "username"),
        ("password", "password"),
    ):
        if name in options:
            more[option] = options[name]
    try:
        system, path = fsspec.url_to_fs(location, **more)
    except ImportError as error:
        raise uninstalled(server, DRIVERS.get(protocol) or str(error.name)) from None
    return system, str(path)


def uninstalled(server: SourceConfiguration, package: str) -> Unreadable:
    """The error for a driver that is not there."""
    return Unreadable(
        f"reading {server.origin} needs {package}, which is not installed",
        f"Add {package} to the dependencies in pyproject.toml, then: make lock setup",
    )


@contextlib.contextmanager
def _remote(server: SourceConfiguration) -> Iterator[None]:
    """Says in one line what a file system says in its own way."""
    place = server.origin
    try:
        yield
    except Unreadable:
        raise
    except FileNotFoundError:
        raise Unreadable(f"the source {place} does not exist", PUT) from None
    except PermissionError as error:
        raise Unreadable(
            f"{place}: permission denied ({_said(server, error)})",
            "Check the credentials in the environment, or ask {owner}",
        ) from None
    # each file system has errors of its own, and they may hold what it was called with
    except Exception as error:
        raise Unreadable(f"{place} cannot be read ({_said(server, error)})") from None


def _said(server: SourceConfiguration, error: BaseException) -> str:
    text = server.hide(str(error).strip().partition("\n")[0])
    return f"{type(error).__name__}: {text}".removesuffix(": ")
