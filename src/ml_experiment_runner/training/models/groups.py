"""Which features belong together in an ensemble: groups that share no signal and no field."""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.parameters import check_members, is_ensemble
from ml_experiment_runner.dataset import expressions
from ml_experiment_runner.dataset.expressions import Needs
from ml_experiment_runner.dataset.plan import Plan
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest


def check_ensemble(config: DictConfig, plan: Plan) -> None:
    """Checks groups and members before anything runs; any other model passes.

    Raises:
        UserError: Groups overlap or leave a feature out, or a member is no model.
    """
    if not is_ensemble(config.model):
        return
    configured = configured_groups(config.model)
    known = {*plan.contracts, *config.dataset.features}
    for group, names in (configured or {}).items():
        for name in names:
            if name not in known:
                raise UserError(
                    f"model.groups.{group}: '{name}' is neither a signal nor a feature of this "
                    f"dataset. {nearest(name, known)}"
                )
    reads = {name: expressions.needs(each) for name, each in plan.features.items()}
    groups = groups_of(configured, reads)
    # a signal that is left out as it is held leaves the others to answer
    if len(groups) < 2 and len(reads) == len(config.dataset.features):
        raise UserError(
            f"model.groups: all features are in one group, '{next(iter(groups))}', and an ensemble "
            "needs two or more.\nAdd features of another signal to dataset.features, name groups "
            "of features in model.groups, or take the model itself: "
            f"model=<name> instead of model=ensemble"
        )
    for group in config.model.members:
        if group not in {*groups, *(configured or plan.contracts)}:
            raise UserError(f"model.members: unknown group '{group}'. "
                            f"{nearest(str(group), groups)}")  # fmt: skip
    check_members(config)


def configured_groups(model: DictConfig) -> dict[str, list[str]] | None:
    """The groups that the configuration names; None for a group by signal."""
    if not model.get("groups"):
        return None
    groups = model.groups
    if OmegaConf.is_config(groups):
        groups = OmegaConf.to_container(groups, resolve=True)
    if not isinstance(groups, dict) or not all(
        isinstance(names, list) for names in groups.values()
    ):
        raise UserError("model.groups must list the signals or features of each group, such as "
                        "model.groups: {timetable: [flights], sky: [weather]}")  # fmt: skip
    return {str(group): [str(name) for name in names] for group, names in groups.items()}


def groups_of(
    configured: Mapping[str, Sequence[str]] | None, reads: Mapping[str, Needs]
) -> dict[str, list[str]]:
    """Features by group.

    A feature belongs to the groups that name it or a signal that it reads, also where it is
    derived from fields of several signals.

    Args:
        configured: Names of signals and features by group; None for a group by signal.
        reads: Fields by signal that each feature reads.

    Raises:
        UserError: A feature belongs to two groups or to none, or two groups read the same field.
    """
    if configured is None:
        configured = {signal: [signal] for signal in expressions.together(reads.values())}
    groups: dict[str, list[str]] = {group: [] for group in configured}
    owner: dict[tuple[str, str], tuple[str, str]] = {}
    for feature, needs in reads.items():
        its = [group for group, names in configured.items() if {feature, *needs} & set(names)]
        if len(its) > 1:
            fields = " and ".join(sorted(f"{s}.{f}" for s, names in needs.items() for f in names))
            together = ", ".join(sorted({name for group in its for name in configured[group]}))
            raise UserError(
                f"model.groups: the feature '{feature}' reads {fields}, so it is in the groups "
                f"'{its[0]}' and '{its[1]}', which must not overlap.\nLeave it out of "
                "dataset.features, or put both into one group in model.groups, such as "
                f"{'_'.join(its)}: [{together}]"
            )
        if not its:
            raise UserError(
                f"model.groups: the feature '{feature}' is in no group; name it or {min(needs)} in "
                "one, or leave it out of dataset.features"
            )
        for field in ((signal, name) for signal, names in needs.items() for name in names):
            group, other = owner.setdefault(field, (its[0], feature))
            if group != its[0]:
                raise UserError(
                    f"model.groups: the features '{other}' in '{group}' and '{feature}' in "
                    f"'{its[0]}' both read {'.'.join(field)}, and groups must not overlap.\n"
                    "Put both features into one group, or leave one out of dataset.features"
                )
        groups[its[0]].append(feature)
    return {group: names for group, names in groups.items() if names}
