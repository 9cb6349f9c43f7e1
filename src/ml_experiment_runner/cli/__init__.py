"""From what was typed to an exit code: `app` and one module for each command."""
