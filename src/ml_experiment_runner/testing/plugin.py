"""The pytest plugin that runs the standard tests beside the tests of a project.

pytest imports this module wherever the runner is installed, so it imports the runner only within a
project.
"""

import pytest

MARKS = ("run.py", "conf/config.yaml")
"""As in `project.repository`, whose import would take longer."""

# before the first import of these modules, so that failed assertions show their values
pytest.register_assert_rewrite("ml_experiment_runner.testing.standard")


def pytest_configure(config: pytest.Config) -> None:
    """Adds the standard tests if pytest's root folder is a project."""
    if all((config.rootpath / mark).is_file() for mark in MARKS):
        from ml_experiment_runner.testing import fixtures
        from ml_experiment_runner.testing.collection import StandardTests

        config.pluginmanager.register(StandardTests(config), "ml_experiment_runner.standard")
        config.pluginmanager.register(fixtures, "ml_experiment_runner.fixtures")
