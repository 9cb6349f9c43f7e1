"""The files of Hydra's groups: the project's own come first, then those of the runner."""

from pathlib import Path

from ml_experiment_runner.project.repository import root

PACKAGED = Path(__file__).resolve().parents[1] / "conf"
"""The runner's own groups; Hydra finds them by `hydra_plugins.ml_experiment_runner.search_path`."""


def folder() -> Path:
    """The project's own configuration."""
    return root() / "conf"


def option_file(group: str, name: str) -> Path | None:
    """The file of an option, or None where there is none.

    Args:
        group: Such as `model` or `hydra/launcher`.
        name: The option's.
    """
    candidates = (place / group / f"{name}.yaml" for place in (folder(), PACKAGED))
    return next((path for path in candidates if path.is_file()), None)


def options(group: str) -> list[str]:
    """Names of a group's options, sorted."""
    return sorted({path.stem for place in (folder(), PACKAGED)
                   for path in (place / group).glob("*.yaml")})  # fmt: skip


def own_options(group: str) -> list[str]:
    """Names of those options that are the project's own, sorted."""
    return sorted(path.stem for path in (folder() / group).glob("*.yaml"))


def groups() -> list[str]:
    """Names of all groups, sorted."""
    return sorted({
        path.relative_to(place).as_posix()
        for place in (folder(), PACKAGED)
        for path in place.rglob("*")
        if path.is_dir() and any(path.glob("*.yaml"))
    })  # fmt: skip
