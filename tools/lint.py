"""Check style, format and types of the template's own Python, and its workflows."""

from prepare import ROOT, prepare, run


def main() -> None:
    """Run every check; the first that finds something ends it."""
    prepare()
    run("-m", "ruff", "check", ".")
    run("-m", "ruff", "format", "--check", ".")
    run("-m", "mypy", "--config-file", "mypy.ini")
    run("-c", "from importlinter.cli import lint_imports_command as check; check()")
    run("-m", "pytest", "-q", "tests/template/test_lint.py", "tests/template/test_workflows.py")
    print(f"{ROOT.name}: nothing to do")


if __name__ == "__main__":
    main()
