"""The four steps in the README of a project without example, followed to the letter."""

import re
import shlex
import subprocess
import sys

from support.flowers import write_flowers
from support.pages import blocks, put


def test_four_steps_lead_from_a_csv_to_a_recorded_run(template, tmp_path):
    from support.baking import run_cookiecutter

    answers = {"example": "none", "project_name": "Garden"}
    project = run_cookiecutter(template, tmp_path, answers).project
    readme = (project / "README.md").read_text(encoding="utf-8")
    files = [block for block in blocks(readme) if block.path]
    assert [block.path for block in files] == [
        "signals/flowers.yaml",
        "src/garden/features.py",
        "conf/dataset/flowers.yaml",
    ]
    write_flowers(project / "data" / "raw" / "flowers.csv")
    for block in files:
        put(project, block)
    (command,) = re.findall(r"Run it: `python (.+)`", readme)
    result = subprocess.run(
        [sys.executable, *shlex.split(command)],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(list(project.glob("outputs/**/card.html"))) == 1
    words = ["run.py", "-m", "dataset=flowers", "model=dummy,logistic_regression"]
    subprocess.run([sys.executable, *words], cwd=project, stdin=subprocess.DEVNULL, check=True)
    assert len(list(project.glob("outputs/**/card.html"))) == 4
    assert (project / "mlflow.db").exists()
