"""The standard tests of a project, which pytest runs beside the project's own."""
