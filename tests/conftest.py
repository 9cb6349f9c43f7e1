"""What holds for every test: a skip is listed with its reason, or it fails."""

import fnmatch
from pathlib import Path

import pytest
from hypothesis import settings

# How long one example takes says nothing on a busy machine.
settings.register_profile("any-speed", deadline=None)
settings.load_profile("any-speed")

LISTED = Path(__file__).with_name("skips.txt")


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
