"""The names that a generated package cannot have: modules of Python and of locked packages."""

import json
import keyword
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ROOT / "{{cookiecutter.project_slug}}"
# Modules of some of Python 3.11 to 3.14, so that the result does not depend on the version.
MODULES_OF_SOME_PYTHON = """
aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils imghdr imp
mailcap msilib nis nntplib ossaudiodev pathlib pipes smtpd sndhdr spwd string sunau telnetlib uu
xdrlib
"""
# Modules of the project outside its package, and folders of tests.
LOOSE = "conf conftest hydra_plugins lock ml_experiment_runner run runner setup test tests tools"


def normal(name: str) -> str:
    """The name of a distribution as a package name."""
    return re.sub(r"[-.]+", "_", name).lower()


def locked_modules() -> set[str]:
    """The modules of locked distributions; of those that are not installed, their names."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(GENERATED.glob("*.lock")))
    locked = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}
    modules, installed = set(), set()
    for module, names in packages_distributions().items():
        distributions = locked.intersection(map(normal, names))
        installed |= distributions
        modules |= {module.lower()} if distributions else set()
    return modules | (locked - installed)


def taken() -> list[str]:
    """All names, sorted."""
    devices = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))["_devices"]
    names = [*MODULES_OF_SOME_PYTHON.split(), *LOOSE.split(), *devices.split()]
    names += [*sys.stdlib_module_names, *map(str.lower, keyword.kwlist), *locked_modules()]
    return sorted({name for name in names if re.fullmatch(r"[a-z][a-z0-9_]*", name)})


if __name__ == "__main__":
    print(" ".join(taken()))
