"""The run card: the page, and the sections that are handed to it."""

import json
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ml_experiment_runner.config.schema import Config
from ml_experiment_runner.record.card.page import write_card
from ml_experiment_runner.record.card.section import Place, Section
from ml_experiment_runner.record.config_diff import changed_defaults
from support.folders import METRICS, write_run
from support.html_page import Page

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def card(folder: Path, *sections: Section) -> Page:
    return Page(write_card(folder, sections).read_text(encoding="utf-8"))


def test_card_shows_question_owner_status_and_provenance(tmp_path: Path) -> None:
    page = card(write_run(tmp_path, git_commit="f00d", lock_sha256="beef", command="run.py a=b"))
    for text in (
        *("Will it be late?", "asked by Ada", "FINISHED", "f00d", "beef"),
        *("python run.py rerun aaaa1111", "python run.py a=b", "fit2.5 s"),
    ):
        assert text in page.text, text


def test_card_shows_sections_in_their_places(tmp_path: Path) -> None:
    sections = []
    for place in (Place.INPUT, Place.DETAILS, Place.RESULT, Place.HEADLINE):
        template = tmp_path / f"{place.name}.html"
        template.write_text("<p>${ text } of ${ run.id }</p>")
        context = {"text": f"{place.name} <b>"}
        sections.append(Section(template, lambda _, context=context: context, place))
    sections.append(Section(tmp_path / "no_file.html", lambda _: None))
    folder = write_run(tmp_path)
    (folder / "artifacts" / "figures").mkdir()
    (folder / "artifacts" / "figures" / "roc.png").write_bytes(PIXEL)
    text = card(folder, *sections).text
    order = [
        *("HEADLINE <b> of aaaa1111", "Result", "RESULT <b>", "DETAILS <b>"),
        *("Figures", "INPUT <b>", "What differs from the defaults"),
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_card_lists_metrics_that_no_section_shows(tmp_path: Path) -> None:
    metrics = {"rows/flights": 1007, "cost": 1.5, "cost/low": 1.25, "seconds/receive": 1.5}
    folder = write_run(tmp_path, metrics=metrics)
    text = card(folder).text
    assert "rows/flights1,007 cost1.5000 " in text
    assert "cost/low" not in text
    template = tmp_path / "own.html"
    template.write_text("<p>own</p>")
    own = Section(template, lambda _: {}, metrics=("rows", "cost"))
    assert "1,007" not in card(folder, own).text
    assert "1,007" in card(folder, own._replace(context=lambda _: None)).text


def test_card_takes_all_text_as_text(tmp_path: Path) -> None:
    evil = "<script>alert('1')</script> & \"quotes\" $body ${title}"
    page = card(
        write_run(
            tmp_path,
            params={"experiment.question": evil, "experiment.owner": evil},
            git_commit=evil,
            command=evil,
            changes=[[evil, evil, evil]],
        )
    )
    assert "script" not in {name for name, _ in page.tags}
    assert page.text.count(evil) >= 6


def test_card_needs_nothing_from_anywhere(tmp_path: Path) -> None:
    folder = write_run(tmp_path, status=None)
    figures = folder / "artifacts" / "figures"
    figures.mkdir()
    with (folder / "journal.jsonl").open("a") as journal:
        for name in ("roc", "own_figure", "calibration"):
            (figures / f"{name}.png").write_bytes(PIXEL)
            path = f"artifacts/figures/{name}.png"
            journal.write(json.dumps({"kind": "artifact", "time": 1, "path": path}) + "\n")
    text = write_card(folder, ()).read_text(encoding="utf-8")
    assert not re.search(r"https?:|url\(|@import|<script|<link|javascript:", text)
    images = [attributes for name, attributes in Page(text).tags if name == "img"]
    assert [image["alt"] for image in images] == ["roc", "own figure", "calibration"]
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in images)


def test_card_is_the_same_when_it_is_built_again(tmp_path: Path) -> None:
    folder = write_run(tmp_path, metrics=METRICS)
    first = write_card(folder, ()).read_bytes()
    assert write_card(folder, ()).read_bytes() == first


def test_card_shows_what_differs_from_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    conf = tmp_path / "conf"
    for name, text in {
        "config.yaml": "defaults: [_self_, {model: tree}, {dataset: null}]\nseed: 0\nnow: null\n"
        "experiment: {owner: ''}\noutputs: ${root:}/outputs\n",
        "model/base.yaml": "depth: 3\n",
        "model/tree.yaml": "defaults: [base, _self_]\n_target_: Tree\nwidth: 2\nnames: [a, 1]\n",
    }.items():
        (conf / name).parent.mkdir(parents=True, exist_ok=True)
        (conf / name).write_text(text)
    config = OmegaConf.merge(
        OmegaConf.structured(Config),
        {
            "seed": 1,
            "now": None,
            "experiment": {"owner": "Ada"},
            "outputs": "${root:}/outputs",
            "model": {"_target_": "Tree", "depth": 3, "names": ["a", 1], "leaves": True},
        },
    )
    differences = changed_defaults(config)
    assert differences == [
        ("model.leaves", None, "true"),
        ("seed", "0", "1"),
        ("model.width", "2", None),
    ]
    assert (
        "model.leaves\N{EN DASH}true"
        in card(write_run(tmp_path / "outputs", changes=differences)).text
    )
