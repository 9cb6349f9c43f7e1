"""The files of a generated project that its configuration needs, without generating one."""

import shutil
from pathlib import Path

from cookiecutter.environment import StrictEnvironment
from jinja2 import FileSystemLoader

from ml_experiment_runner.project.repository import MARKS
from support import ROOT

TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
ANSWERS = {
    "project_name": "Flight delays",
    "project_slug": "flight-delays",
    "package_name": "flight_delays",
    "author_name": "Ada",
    "example": "flights",
}


def write_project(root: Path) -> Path:
    """Writes `run.py`, `pytest.ini`, `conf/`, `signals/` and the package of the flights.

    Args:
        root: The project's folder, which may exist.

    Returns:
        The folder.
    """
    jinja = StrictEnvironment(context={"cookiecutter": {}}, keep_trailing_newline=True,
                              loader=FileSystemLoader(ROOT / "templates"))  # fmt: skip
    shutil.copytree(TEMPLATE / "signals", root / "signals", dirs_exist_ok=True)
    package = TEMPLATE / "src" / "{{cookiecutter.package_name}}"
    for source in [*(TEMPLATE / mark for mark in (*MARKS, "pytest.ini")),
                   *TEMPLATE.glob("conf/*/*.yaml"), *package.glob("*.py")]:  # fmt: skip
        name = source.relative_to(TEMPLATE).as_posix()
        path = root / name.replace("{{cookiecutter.package_name}}", ANSWERS["package_name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        text = jinja.from_string(source.read_text(encoding="utf-8"))
        path.write_text(text.render(cookiecutter=ANSWERS), encoding="utf-8")
    return root
