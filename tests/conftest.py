"""What holds for every test: a skip is listed with its reason, or it fails."""

import fnmatch
import os
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import settings

from support import INSTALLATION, python_path

# Processes that tests start take the runner of this tree, whatever is installed.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [python_path(), *filter(None, [os.environ.get("PYTHONPATH")])]
)

sys.path.append(str(INSTALLATION))

# How long one example takes says nothing on a busy machine.
settings.register_profile("any-speed", deadline=None)
settings.load_profile("any-speed")

TOGETHER = ("test_bench.py", "test_clusters.py", "test_lint.py", "test_odcs.py")
"""Modules whose tests share what takes a minute to build, or would be in each other's way."""

LISTED = Path(__file__).with_name("skips.txt")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each test goes to any worker, and all of such a module to one.

    A scheduler of our own, because marks with `xdist_group` have no effect under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            module = nodeid.partition("::")[0]
            return module if module.endswith(TOGETHER) else nodeid

    return Scheduling(config, log)


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--part", default="1/1", metavar="N/M", help="of the chosen tests the Nth of M equal parts"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items) -> None:
    """The part of the tests that was asked for, each in the same one every time."""
    number, count = map(int, config.getoption("--part").split("/"))
    mine = [item for item in items if zlib.crc32(item.nodeid.encode()) % count == number - 1]
    if len(mine) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in set(mine)])
        items[:] = mine


def is_listed(test: str, reason: str) -> bool:
    for line in LISTED.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern, _, expected = line.partition(" | ")
            # "[" is an ordinary character in a test's id.
            if fnmatch.fnmatch(test, pattern.replace("[", "[[]")) and expected in reason:
                return True
    return False


def refuse_unlisted(report) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not is_listed(report.nodeid, reason):
            report.outcome = "failed"
            report.longrepr = f"{report.nodeid} skips ({reason}); tests/skips.txt does not list it"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    refuse_unlisted(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    refuse_unlisted(report)
    return report
