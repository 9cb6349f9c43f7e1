"""The dataset as a run assembles it when there is no cache; in the project's folder."""

import sys

sys.path.insert(0, "src")
from measured import measure

from ml_experiment_runner import compose
from ml_experiment_runner.dataset.assemble import assemble
from ml_experiment_runner.dataset.plan import make_plan
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.signals.snapshots import snapshot

plan = make_plan(compose("dataset=orders"))
snapshots = {
    name: snapshot.Snapshot(name, "1.0.0", "", "", 0, snapshot.home(root()) / name, None, {}, "")
    for name in plan.needs
}
measure(lambda: assemble(plan, snapshots)[0])
