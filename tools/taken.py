"""The names that a generated project's package cannot have: Python's, and what its lock brings."""

import json
import keyword
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ROOT / "{{cookiecutter.project_slug}}"
# Of one Python only, from 3.11 to 3.14; which of them runs this is not to matter.
MODULES_OF_SOME_PYTHON = """
aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils imghdr imp
mailcap msilib nis nntplib ossaudiodev pathlib pipes smtpd sndhdr spwd string sunau telnetlib uu
xdrlib
"""
# Modules of the project itself that lie in no package, and folders that tests are found in.
LOOSE = "conf conftest hydra_plugins lock ml_experiment_runner run runner setup test tests tools"


def normal(name: str) -> str:
    """The name of a distribution as packages are named."""
    return re.sub(r"[-.]+", "_", name).lower()


def brought() -> set[str]:
    """What can be imported of the distributions that the locks name, or else their names."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(GENERATED.glob("*.lock")))
    locked = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}
    modules, installed = set(), set()
    for module, names in packages_distributions().items():
        here = locked.intersection(map(normal, names))
        installed |= here
        modules |= {module.lower()} if here else set()
    return modules | (locked - installed)


def taken() -> list[str]:
    """All of them, in order."""
    devices = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))["_devices"]
    words = [*MODULES_OF_SOME_PYTHON.split(), *LOOSE.split(), *devices.split()]
    words += [*sys.stdlib_module_names, *map(str.lower, keyword.kwlist), *brought()]
    return sorted({word for word in words if re.fullmatch(r"[a-z][a-z0-9_]*", word)})


if __name__ == "__main__":
    print(" ".join(taken()))
