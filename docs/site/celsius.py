"""Plays docs/how-to/an-upstream-changes.md in a generated project, and takes its pictures.

Type `.venv/bin/python docs/site/celsius.py`: it prints what is typed and what comes, and writes
docs/images/hold.png and docs/images/celsius.png. It needs Chromium.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

from support.baking import IDENTITY, copy_template, git, run_cookiecutter  # noqa: E402
from support.journey import Project  # noqa: E402
from support.weather_desk import WeatherDesk, after, serve_by_desk, write_version_two  # noqa: E402

INGEST = ("task=ingest", "signals=[weather]")
TRAIN = ("experiment=weather",)


def main(folder: Path) -> None:
    """Plays the months from January to July."""
    made = run_cookiecutter(
        copy_template(folder / "template"), folder / "made", {"project_name": "Flight Delays"}
    )
    project, desk = Project(made.project), WeatherDesk()
    os.environ.update(IDENTITY, **desk.environment)
    serve_by_desk(project)
    typed(project, "task=ingest", "signals=[flights,planes]")
    for month in (1, 2):
        desk.deliver(month)
        typed(project, *INGEST, after(month))
    why = "Newark's instrument failed; the desk does not correct the past."
    typed(project, "holds", "release", held(project), "--once", "--by", "Ada", "--why", why)
    for month in (3, 4, 5):
        desk.deliver(month)
        typed(project, *INGEST, after(month))
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "Weather up to May")

    desk.deliver(6, celsius_since=6)
    typed(project, *INGEST, after(6))
    photograph(project.root / "data" / "held" / held(project) / "report.html", folder)
    typed(project, "holds")
    typed(project, *TRAIN, after(6))

    desk.deliver(6, celsius_since=1)
    write_version_two(project)
    typed(project, *INGEST, after(6))
    typed(project, "holds", "--all")
    desk.deliver(7, celsius_since=1)
    typed(project, *INGEST, after(7))
    typed(project, *TRAIN, after(6))
    typed(project, *TRAIN, "dataset.pin.weather=1.0.0", after(6))
    picture = IMAGES / "celsius.png"
    typed(project, "signals", "diff", "weather", "1.0.0", "2.0.0", "--picture", str(picture))
    typed(project, "signals")
    desk.stop()


def typed(project: Project, *words: str) -> None:
    """Types a command and shows what comes."""
    done = project.run(*words, code=None)
    print(f"$ python run.py {' '.join(words)}", done.stdout, done.stderr, sep="\n")
    print(f"(exit code {done.returncode})\n", flush=True)


def held(project: Project) -> str:
    """The latest hold."""
    paths = (project.root / "holds").glob("*.yaml")
    return max(paths, key=lambda path: path.stat().st_mtime).stem


def photograph(page: Path, folder: Path) -> None:
    """Takes a picture of the upper part of a page."""
    chromium = shutil.which("chromium") or "chromium"
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    profile = f"--user-data-dir={folder / 'profile'}"
    target = f"--screenshot={IMAGES / 'hold.png'}"
    command = [chromium, *options, profile, target, "--window-size=1000,1200", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
