"""The files of Hydra's groups: first the project's own, then the runner's."""

from pathlib import Path

from ml_experiment_runner.project.repository import root

PACKAGED = Path(__file__).resolve().parents[1] / "conf"
"""The runner's own groups; Hydra finds them by `hydra_plugins.ml_experiment_runner.search_path`."""


def folder() -> Path:
    """The folder of the project's own configuration."""
    return root() / "conf"


def option_file(group: str, name: str) -> Path | None:
    """The file of an option; None for an unknown one.

    Args:
        group: Such as `model` or `hydra/launcher`.
        name: The option's name.
    """
    candidates = (conf / group / f"{name}.yaml" for conf in (folder(), PACKAGED))
    return next((path for path in candidates if path.is_file()), None)


def options(group: str) -> list[str]:
    """Names of a group's options, sorted."""
    return sorted({path.stem for conf in (folder(), PACKAGED)
                   for path in (conf / group).glob("*.yaml")})  # fmt: skip


def own_options(group: str) -> list[str]:
    """Names of the project's own options of a group, sorted."""
    return sorted(path.stem for path in (folder() / group).glob("*.yaml"))


def groups() -> list[str]:
    """Names of all groups, sorted."""
    return sorted({
        path.relative_to(conf).as_posix()
        for conf in (folder(), PACKAGED)
        for path in conf.rglob("*")
        if path.is_dir() and any(path.glob("*.yaml"))
    })  # fmt: skip
