"""The dataset as a run assembles it when there is no cache; in the project's folder."""

import sys

sys.path.insert(0, "src")
from measured import measure

from runner import compose
from runner.dataset.assemble import assemble
from runner.dataset.plan import make_plan
from runner.project import root
from runner.signals import snapshot

plan = make_plan(compose("dataset=orders"))
snapshots = {
    name: snapshot.Snapshot(name, "1.0.0", "", "", 0, snapshot.home(root()) / name, None, {}, "")
    for name in plan.needs
}
measure(lambda: assemble(plan, snapshots)[0])
