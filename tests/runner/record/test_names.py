"""Names of metrics, params, tags and artifacts: any text, and in MLflow as many as were given."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.journal import Journal
from ml_experiment_runner.record.names import LENGTH, mlflow_name, mlflow_path
from ml_experiment_runner.record.recorder import Recorder
from ml_experiment_runner.record.run_reader import read_run
from support.tracking_server import Server

TRICKY = [
    *("recall/猫", "recall/狗", "P@1", "P_1", "é", "e\u0301", "Loss", "loss", "a b", " a", "a "),
    *("a\n", "a\tb"),
    *("a//b", "a/b", "a/", "/a", "a", "..", ".", "..a", "../a", "a/..b", "a/./b", "./a", ".a"),
    *("a\\b",),
    *("_x0040_", "@", "_x005F_x0040_", "@x0040_", "_x0040@", "_x0040_x0040_", "🙂", "_x1F642_"),
    *("a%20b", "a#b", "a?b", "a'b", "C:x", "\t", "x" * LENGTH),
]  # fmt: skip
LETTERS = st.sampled_from(["a", "A", "0", "4", "x", "_", "/", ".", "@", " ", "猫", "é", "\n", "🙂"])
TEXTS = st.one_of(
    st.text(LETTERS, min_size=1, max_size=12),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1,
            max_size=12),
    st.sampled_from(TRICKY),
)  # fmt: skip
NAMES = TEXTS.filter(lambda name: len(mlflow_name(name)) <= LENGTH)


def original(name: str) -> str:
    """The name as it was given, from what it is in MLflow."""
    return re.sub(r"_x([0-9A-F]{4,6})_", lambda found: chr(int(found[1], 16)), name)


def is_taken(name: str) -> bool:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import (
        _validate_metric_name,
        _validate_param_name,
        _validate_tag_name,
    )

    try:
        for validate in (_validate_metric_name, _validate_param_name, _validate_tag_name):
            validate(name)
    except MlflowException:
        return False
    return True


@settings(deadline=None, max_examples=500)
@given(NAMES)
@example("a/..b")
@example("_x0040@")
def test_name_is_taken_by_mlflow_and_found_again(name: str) -> None:
    assert is_taken(mlflow_name(name))
    assert original(mlflow_name(name)) == name
    assert original(mlflow_path(name)) == name


@settings(deadline=None, max_examples=500)
@given(NAMES)
@example("a/..b")
def test_name_that_mlflow_takes_stays_as_it_is(name: str) -> None:
    if is_taken(name) and "_x" not in name and "\n" not in name:  # its own check overlooks the end
        assert mlflow_name(name) == name


@pytest.mark.parametrize("name", TRICKY)
def test_no_two_names_are_one_in_mlflow(name: str) -> None:
    assert [other for other in TRICKY if mlflow_name(other) == mlflow_name(name)] == [name]
    assert [other for other in TRICKY if mlflow_path(other) == mlflow_path(name)] == [name]


@pytest.mark.parametrize("what", ["metric", "param", "tag", "provenance"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "must not be empty"),
        ("a\0b", "NUL"),
        ("a\ud800", "surrogate"),
        ("x" * 251, "must have at most 250 characters in MLflow, got 251"),
        ("@" * 40, "must have at most 250 characters in MLflow, got 280"),
    ],
)
def test_name_that_cannot_be_is_refused_where_it_is_given(
    tmp_path: Path, what: str, name: str, says: str
) -> None:
    recorder = recording(tmp_path / "run")
    with pytest.raises(UserError, match=f"^{what} name.*{says}") as error:
        log(recorder, what, name)
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "run" / "journal.jsonl").read_text()


@pytest.mark.parametrize("name", ["record.id", "provenance.seed", "metric.loss"])
def test_tag_with_a_name_of_the_runners_own_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"tag name '{name}' is reserved"):
        log(recording(tmp_path / "run"), "tag", name)


LEAVING = ("", "..", "../a", "a/../../b", "..\\a", "/a", "a//b", "a/", "./a", "a/.", "a\0b",
           "a\ud800", "x" * 300, "猫" * 100, "a/" + "\t" * 60)  # fmt: skip
PATHS = st.one_of(
    st.sampled_from(LEAVING),
    st.lists(st.sampled_from(["a", "b", "..", ".", "", "\\", "猫", "c.txt"]), max_size=5).map(
        "/".join
    ),
    TEXTS,
)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@settings(deadline=None, max_examples=300)
@given(PATHS)
@example("../e.txt")
@example("a/b")
def test_artifact_lands_in_its_folder_or_is_refused_at_once(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "above" / "run"
        recorder = recording(folder)
        before = files(Path(place))
        refused = ""
        try:
            recorder.log_text("x", name)
        except UserError as error:
            refused = str(error)
        made = [path for path in files(Path(place)) if path not in before]
        assert made == ([] if refused else [folder / "artifacts" / name])
        assert bool((folder / "journal.jsonl").read_text()) == (not refused)
        assert len(refused.splitlines()) <= 1


@pytest.mark.parametrize("name", LEAVING)
def test_artifact_name_that_leaves_is_refused_by_every_call(tmp_path: Path, name: str) -> None:
    from matplotlib.figure import Figure

    recorder = recording(tmp_path / "run")
    file = tmp_path / "file.txt"
    file.write_text("x")
    with pytest.raises(UserError, match="artifact name"):
        recorder.log_text("x", name)
    with pytest.raises(UserError, match="artifact name"):
        recorder.log_artifact(file, name)
    if name not in ("", ".."):  # figures/.png and figures/...png are names
        with pytest.raises(UserError, match="artifact name"):
            recorder.log_figure(Figure(), f"../{name}")


def test_stage_with_a_wrong_name_is_refused_before_its_work(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="metric name"),
        recording(tmp_path / "run").stage("x" * 300),
    ):
        pytest.fail("worked in vain")


@pytest.mark.parametrize("step", [2**63, -(2**63), 10**20])
def test_step_that_no_store_takes_is_refused(tmp_path: Path, step: int) -> None:
    with pytest.raises(UserError, match="step of metric 'loss' must be within"):
        recording(tmp_path / "run").log_metric("loss", 1.0, step)


def recording(folder: Path) -> Recorder:
    folder.mkdir(parents=True)
    return Recorder(folder, Journal(folder / "journal.jsonl"))


def log(recorder: Recorder, what: str, name: str) -> None:
    match what:
        case "metric":
            recorder.log_metric(name, 1.0)
        case "param":
            recorder.log_params({name: 1})
        case "tag":
            recorder.log_tag(name, 1)
        case "provenance":
            recorder.log_provenance(name, 1)


NO_TAGS = ("mlflow.", "metric.", "provenance.", "record.")


@pytest.fixture(scope="module", params=["sqlite", "server"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    from ml_experiment_runner.record.sync.mlflow_store import Store

    place = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield Store(f"sqlite:///{place}/mlflow.db")
        return
    server = Server(place)
    try:
        yield Store(server.uri)
    finally:
        server.stop()


def sent(store: Any, folder: Path, files: dict[str, str], names: list[str]) -> Any:
    """What MLflow has of a run that recorded these names, each with a value of its own."""
    from ml_experiment_runner.record.sync.run_sync import RunSync

    recorder = recording(folder)
    recorder._journal.write(
        "start", id=folder.name, experiment="names/x", name="n", depth=1, parent=None, user="u",
        package="p", model=False,
    )  # fmt: skip
    for number, name in enumerate(names):
        recorder.log_metric(name, number)
        recorder.log_params({name: number})
        if not name.startswith(NO_TAGS):
            recorder.log_tag(name, number)
    for name, text in files.items():
        recorder.log_text(text, name)
    (folder / "console.log").write_text("")
    recorder._journal.write("end", status="FINISHED", error=None)
    run = RunSync(store, folder, folder)
    while run.advance():
        pass
    noted = read_run(folder)
    assert noted.metrics == {name: float(number) for number, name in enumerate(names)}
    assert noted.params == {name: str(number) for number, name in enumerate(names)}
    return store.client.get_run(run._id)


@settings(
    deadline=None, max_examples=8,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(names=st.lists(NAMES, unique=True, max_size=25))
@example(names=TRICKY)
def test_every_name_arrives_with_its_own_value(store: Any, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        data = sent(store, Path(place) / Path(place).name, {}, names).data
    assert "record.refused" not in data.tags
    assert {original(name): value for name, value in data.metrics.items()} == {
        name: float(number) for number, name in enumerate(names)
    }
    values = {name: str(number) for number, name in enumerate(names)}
    assert {original(name): value for name, value in data.params.items()} == values
    tags = {name: v for name, v in data.tags.items() if not name.startswith(("record.", "mlflow."))}
    assert {original(name): value for name, value in tags.items()} == {
        name: value for name, value in values.items() if not name.startswith(NO_TAGS)
    }


FILES = (
    *("a b.txt", "a%20b.txt", "a#b.txt", "a?b.txt", "a%b.txt", "猫.txt", "狗.txt", "P@1.txt"),
    *("P_1.txt", "a\nb.txt", "ab.txt", "a\tb.txt", "a\x7fb.txt", " a.txt", "a.txt"),
    *("a%2e%2e.txt",),
    *("d#1/x.txt", "d?1/x.txt", "d e/x.txt", "d%20e/x.txt", "d%2Fx/y.txt", "猫/x.txt"),
    *("(1)/[2].txt",),
    *("_x0023_.txt", "#.txt", "a\\b.txt", "A.txt", "é.txt", "e\u0301.txt", "a\u2028b.txt"),
)  # fmt: skip


def test_every_artifact_arrives_with_its_own_content(store: Any, tmp_path: Path) -> None:
    files = {name: f"text of {number}" for number, name in enumerate(FILES)}
    run = sent(store, tmp_path / "artifacts-run", files, [])
    assert "record.refused" not in run.data.tags
    found = {}
    for path in listed(store.client, run.info.run_id, None):
        local = store.client.download_artifacts(run.info.run_id, path, str(tmp_path))
        found[original(path)] = Path(local).read_text()
    found.pop("console.log")
    assert found == files
    plain = {name for name in FILES if re.fullmatch(r"[\w@()\[\] ./]+", name)} - {" a.txt"}
    kept = {name for name in plain if mlflow_path(name) == name}
    assert kept == plain - {"_x0023_.txt"}


def listed(client: Any, run_id: str, folder: str | None) -> Iterator[str]:
    for entry in client.list_artifacts(run_id, folder):
        if entry.is_dir:
            yield from listed(client, run_id, str(PurePosixPath(entry.path)))
        else:
            yield entry.path
