"""Adds the runner's own options to a project's configuration."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class RunnerOptions(SearchPathPlugin):
    """Appends the runner's groups, so that a file of the same name in `conf/` wins.

    Only where the runner starts Hydra: another Hydra application of the same environment keeps its
    own options.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Adds them behind the project's own configuration."""
        from ml_experiment_runner.config.options import PACKAGED, folder
        from ml_experiment_runner.project.errors import UserError

        main = next((path.path for path in search_path.get_path() if path.provider == "main"), None)
        try:
            is_ours = main == str(folder())
        except UserError:  # no project here
            is_ours = False
        if is_ours:
            search_path.append(provider="ml-experiment-runner", path=f"file://{PACKAGED}")
