"""The pytest plugin: in a project, the standard tests run beside the project's own.

pytest imports this module wherever the runner is installed. It therefore imports nothing of the
runner until it is known that there is a project.
"""

import pytest

MARKS = ("run.py", "conf/config.yaml")
"""What a project's root holds, as in `project.repository`, whose import would take longer."""

# before the first import of these modules: their assertions are shown with their values
pytest.register_assert_rewrite("ml_experiment_runner.testing.standard")


def pytest_configure(config: pytest.Config) -> None:
    """Adds the standard tests where pytest's root folder is a project."""
    if all((config.rootpath / mark).is_file() for mark in MARKS):
        from ml_experiment_runner.testing import fixtures
        from ml_experiment_runner.testing.collection import StandardTests

        config.pluginmanager.register(StandardTests(config), "ml_experiment_runner.standard")
        config.pluginmanager.register(fixtures, "ml_experiment_runner.fixtures")
