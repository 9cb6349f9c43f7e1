"""Generate the flights project into `build/demo`, give it an environment, train it."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from prepare import GENERATED, ROOT, prepare, python

FOLDER = ROOT / "build" / "demo"
PROJECT = FOLDER / "flight-delays"


def template_digest() -> str:
    """A digest of everything that a generated project is made of."""
    digest = hashlib.sha256()
    sources = [ROOT / "cookiecutter.json"]
    for folder in (GENERATED, ROOT / "hooks", ROOT / "templates"):
        sources += [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in sources:
        if "cache" not in str(path.relative_to(ROOT)):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def author() -> list[str]:
    """Who owns the demo's experiments: whom git knows here, or nobody in particular."""
    answers = []
    for key, default in (("name", "Whoever runs the demo"), ("email", "demo@example.com")):
        command = ["git", "config", f"user.{key}"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        value = done.stdout.strip()
        answers.append(f"author_{key}={default if not value or '{' in value else value}")
    return answers


def generate() -> None:
    """Generate the project anew if the template has changed; its environment is kept."""
    stamp, kept = FOLDER / "template.txt", FOLDER / "kept.venv"
    answers = author()
    wanted = "\n".join([template_digest(), *answers])
    if PROJECT.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        print(f"{PROJECT} is there already.", flush=True)
        return
    print(f"Generating {PROJECT} …", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if (PROJECT / ".venv").exists():
        (PROJECT / ".venv").rename(kept)
    shutil.rmtree(PROJECT, ignore_errors=True)
    command = [python(ROOT), "-m", "cookiecutter", str(ROOT), "--no-input", *answers]
    # Its words on what to do next are for those who generate by hand.
    subprocess.run([*command, "--output-dir", str(FOLDER)], check=True, stdout=subprocess.DEVNULL)
    if kept.exists():
        kept.rename(PROJECT / ".venv")
    stamp.write_text(wanted, encoding="utf-8")


def newest_card() -> Path | None:
    """The card of the last run."""
    cards = PROJECT.glob("outputs/**/card.html")
    return max(cards, key=lambda path: path.stat().st_mtime, default=None)


def main() -> None:
    """From nothing to a recorded run."""
    prepare()
    generate()
    tools = {**os.environ, "PATH": f"{Path(python(ROOT)).parent}{os.pathsep}{os.environ['PATH']}"}
    # editable: a change of the runner is live, and generates nothing anew
    command = [python(ROOT), "tools/setup.py", "--runner", str(ROOT)]
    subprocess.run(command, cwd=PROJECT, env=tools, check=True)
    subprocess.run([python(PROJECT), "run.py", "+experiment=baseline"], cwd=PROJECT, check=True)
    print(f"\nThe run's card, a page for the browser: {newest_card()}")
    print("What to try next:")
    print(f"  cd {PROJECT} && source .venv/bin/activate")
    print("  python run.py                      # what can be run")
    print("  python run.py +experiment=weather  # does the weather help?")
    print("  make ui                            # all runs in MLflow")


if __name__ == "__main__":
    main()
