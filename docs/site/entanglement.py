"""Writes docs/blast-radius.md and docs/images/blast-radius.png: the last `task=blast_radius`.

Type `python run.py +experiment=ensemble task=blast_radius` in a generated project, and then
`python docs/site/entanglement.py build/demo/flight-delays` here.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]


def main(project: Path) -> None:
    """Read the record, write the table, copy the picture."""
    found = project.glob("outputs/*/*/*/artifacts/blast_radius.json")
    record = max(found, key=lambda path: path.stat().st_mtime)
    told = json.loads(record.read_text(encoding="utf-8"))
    models = list(dict.fromkeys(one["model"] for one in told["effects"]))
    cases: dict[tuple[str, str], dict[str, Any]] = {}
    for one in told["effects"]:
        cases.setdefault((one["signal"], one["fault"]), {})[one["model"]] = one
    told_of = ("logit moves: most", "on average", f"loss of {told['metric']}", "others' importance")
    heads = [f"{words}, {name}" for words in told_of for name in models]
    lines = [f"| signal | fault | {' | '.join(heads)} |", "|---|---|" + "--:|" * len(heads)]
    for (signal, fault), both in cases.items():
        cells = [f"{both[name]['score']['most']:.2f}" for name in models]
        cells += [f"{both[name]['score']['mean']:.2f}" for name in models]
        cells += [f"{both[name]['loss']['value']:.3f}" for name in models]
        cells += [f"{both[name]['importance']:.4f}" for name in models]
        lines.append(f"| {signal} | {fault} | {' | '.join(cells)} |")
    gap = told["quality_gap"]
    lines += ["", "Quality gap of the ensemble in ROC AUC: " + ", ".join(
        f"{gap[f'{split}/quality_gap']:.4f} [{gap[f'{split}/quality_gap/low']:.4f}, "
        f"{gap[f'{split}/quality_gap/high']:.4f}] in {month}"
        for split, month in (("validation", "November"), ("test", "December"))
    ) + "."]  # fmt: skip
    (DOCS / "blast-radius.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    picture = record.with_name("figures") / "blast_radius.png"
    shutil.copyfile(picture, DOCS / "images" / "blast-radius.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
