"""Compare two versions of a signal field by field, from their profiles: a table and a picture."""

import argparse
import re
from pathlib import Path

from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract, known
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import profile_file
from ml_experiment_runner.signals.snapshots.diff import compare, to_text
from ml_experiment_runner.signals.snapshots.profile import Profile


def diff(arguments: list[str]) -> int:
    """Prints what differs between two versions, and where the picture of it is."""
    parser = argparse.ArgumentParser(prog="python run.py signals diff", description=__doc__)
    parser.add_argument("signal")
    parser.add_argument("before", nargs="?", help="a version or git revision; the last one kept")
    parser.add_argument("after", nargs="?", help="a version or git revision; the current one")
    parser.add_argument("--picture", type=_picture, metavar="PATH", help="where to; data/cache/…")
    asked = parser.parse_args(arguments)
    contract = known(read_contracts(repository.root()), asked.signal)
    before, after = _asked(contract, asked.before, asked.after)
    found = compare(before[0], after[0], (before[1], after[1]))
    print(to_text(found))
    if found.changes or found.gaps:
        from ml_experiment_runner.signals.snapshots.diff_plots import draw

        name = "-".join([contract.name, *(re.sub(r"[^\w.]+", "-", one) for one in found.names)])
        picture = asked.picture or repository.root() / "data" / "cache" / f"{name}.png"
        try:
            picture.parent.mkdir(parents=True, exist_ok=True)
            draw(found).savefig(picture, dpi=110)
        except OSError as error:
            raise UserError(
                f"{picture} cannot be written ({error.strerror}); take another: --picture PATH"
            ) from None
        print(f"picture  {picture}")
    return 0


def _picture(text: str) -> Path:
    """A path that a picture can be written to."""
    path = Path(text)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise argparse.ArgumentTypeError("write a name that ends in .png, .svg or .pdf")
    return path


def _asked(
    contract: Contract, before: str | None, after: str | None
) -> tuple[tuple[Profile, str], tuple[Profile, str]]:
    """The two profiles and what they are called."""
    new = profile_file.find(contract, after) if after else (profile_file.current(contract), "")
    old = profile_file.find(contract, before) if before else profile_file.before(contract, new[0])
    newer = after if after and after != new[0].version else ""
    name = new[0].version + (f" ({newer})" if newer else "")
    if old[0].version == new[0].version and not newer:
        name += " (current)"
    return old, (new[0], name)
