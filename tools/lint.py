"""Check the template: style, format, types, imports and workflows."""

from prepare import ROOT, prepare, run


def main() -> None:
    """Run the checks, and stop at the first that fails."""
    prepare()
    run("-m", "ruff", "check", ".")
    run("-m", "ruff", "format", "--check", ".")
    run("-m", "mypy", "--config-file", "mypy.ini")
    run("-c", "from importlinter.cli import lint_imports_command as check; check()")
    run("-m", "pytest", "-q", "tests/template/test_lint.py", "tests/template/test_workflows.py")
    print(f"{ROOT.name}: all checks passed")


if __name__ == "__main__":
    main()
