"""The recipes of text and text-pair classification: texts, label names, and what is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from taskloom.data.source import read
from taskloom.data.standardize import CanonicalTask, standardize
from taskloom.errors import SourceError
from taskloom.recipes.catalog import discourse, glue, nli, paraphrase, probing, sentiment, topic, tweets
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recipe import Classification, Hub, Multilabel, Task

MODULES = (glue, nli, paraphrase, sentiment, tweets, discourse, topic, probing)
TASKS = {task.id: task for module in MODULES for task in module.TASKS}
TEXT = Value("string")
PEER_IDS = (
    "glue/rte", "glue/cola", "tweet_eval/emotion", "tweet_eval/irony", "tweet_eval/hate", "tweet_eval/sentiment",
    "clinc_oos/small", "banking77", "poem_sentiment", "sms_spam", "rotten_tomatoes",
)  # fmt: skip


def hub_of(task: Task) -> Hub:
    """Return the task's source, which is a hub repository in these files."""
    assert isinstance(task.source, Hub)
    return task.source


def canonical(
    folder: Path, task_id: str, features: Mapping[str, Any], **splits: Sequence[Mapping[str, Any]]
) -> CanonicalTask:
    """Write made-up rows as a mirror of the task's repository and return what the recipe makes of them."""
    task = TASKS[task_id]
    source = hub_of(task)
    config = source.config or "default"
    home = folder / source.repo
    files = []
    for split, rows in splits.items():
        path = home / config / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        Dataset.from_list([dict(row) for row in rows], features=Features(features)).to_parquet(str(path))
        files.append({"split": split, "path": f"{config}/{split}-*"})
    header = json.dumps({"configs": [{"config_name": config, "data_files": files}]})  # JSON is YAML too
    (home / "README.md").write_text(f"---\n{header}\n---\n", encoding="utf-8")
    return standardize(task, read(task, mirror=folder))


def rows_of(made: CanonicalTask, split: str = "train") -> list[dict[str, Any]]:
    """Return the rows of a split with label names in place of ids."""
    rows: list[dict[str, Any]] = made.splits[split].to_pylist()
    for row in rows:
        if "label" in row:
            row["label"] = made.labels[row["label"]]
        else:
            row["labels"] = [made.labels[label] for label in row["labels"]]
    return rows


def two_way() -> ClassLabel:
    """Return the class label type of two-way inference in the source's order."""
    return ClassLabel(names=["entailment", "not_entailment"])


def false_true() -> ClassLabel:
    """Return the class label type of the SuperGLUE sets that answer True or False."""
    return ClassLabel(names=["False", "True"])


def test_ids_are_unique_and_the_peer_tasks_exist() -> None:
    """No id is written twice, and the eleven tasks that other systems are compared on are there and trainable."""
    assert len(TASKS) == sum(len(module.TASKS) for module in MODULES)
    for task_id in PEER_IDS:
        assert TASKS[task_id].role == "train"
        assert TASKS[task_id].defect is None
        assert TASKS[task_id].splits.train == "train"


def test_every_task_has_a_question_and_a_citation() -> None:
    """People see for each task what is asked and whom to cite."""
    assert [task.id for task in TASKS.values() if not task.question.endswith((".", "?", ")"))] == []
    assert [task.id for task in TASKS.values() if not task.citation and task.defect is None] == []


def test_class_names_are_spelled_out() -> None:
    """No class is called true, false, low, high, a bare number or a single letter."""
    dull = {"true", "false", "low", "high", "0", "1"}
    liar = {"liar"}  # its six names are the published scale of truthfulness
    for task in TASKS.values():
        assert isinstance(task.kind, Classification | Multilabel)
        names = [pair[1] if isinstance(pair, tuple) else pair for pair in task.kind.names or ()]
        assert task.id in liar or not dull & {name for name in names if name}, task.id


def test_inference_tasks_end_in_one_of_two_label_sets() -> None:
    """Every set that asks whether a text follows meets the others in the three-way or the two-way head."""
    for task in TASKS.values():
        if task.question in (glue.THREE_WAY_QUESTION, glue.TWO_WAY_QUESTION):
            assert isinstance(task.kind, Classification)
            ours = {pair[1] for pair in task.kind.names if pair[1] is not None}
            assert ours in (set(glue.THREE_WAY), set(glue.TWO_WAY)), task.id


def test_scales_do_not_share_a_head() -> None:
    """Low formality and low arousal are different answers: ten scales, ten heads."""
    keys = []
    for config, ending, *_ in discourse._SCALES:
        task = TASKS[f"pragmeval/{config}/{ending}"]
        assert isinstance(task.kind, Classification)
        keys.append(sharing_key(task, [pair[1] for pair in task.kind.names]))
    assert len(set(keys)) == len(keys) == 10


def test_qnli_has_question_and_sentence(tmp_path: Path) -> None:
    """Whether the sentence answers the question cannot be told from the question alone."""
    made = canonical(
        tmp_path, "glue/qnli", {"question": TEXT, "sentence": TEXT, "label": two_way(), "idx": Value("int32")},
        train=[{"question": "Who baked it?", "sentence": "Ana baked it.", "label": 0, "idx": 0}],
    )  # fmt: skip
    (row,) = rows_of(made)
    assert (row["text"], row["pair"], row["label"]) == ("Who baked it?", "Ana baked it.", "entailment")


def test_boolq_has_its_passage(tmp_path: Path) -> None:
    """The passage is the text, the question its pair, and True means yes."""
    made = canonical(
        tmp_path, "super_glue/boolq", {"question": TEXT, "passage": TEXT, "label": false_true()},
        train=[{"question": "is tin a metal", "passage": "Tin is a soft metal.", "label": 1}],
    )  # fmt: skip
    (row,) = rows_of(made)
    assert (row["text"], row["pair"], row["label"]) == ("Tin is a soft metal.", "is tin a metal", "yes")


def test_multirc_has_paragraph_question_and_answer(tmp_path: Path) -> None:
    """The answer to be judged is the pair of paragraph and question."""
    made = canonical(
        tmp_path, "super_glue/multirc", {"paragraph": TEXT, "question": TEXT, "answer": TEXT, "label": false_true()},
        train=[{"paragraph": "Bo sold two goats.", "question": "How many goats?", "answer": "Three", "label": 0}],
    )  # fmt: skip
    (row,) = rows_of(made)
    assert row["text"] == "Bo sold two goats.\nHow many goats?"
    assert (row["pair"], row["label"]) == ("Three", "incorrect answer")


def test_wic_names_the_word(tmp_path: Path) -> None:
    """The word whose senses are compared stands before the first sentence."""
    made = canonical(
        tmp_path, "super_glue/wic", {"word": TEXT, "sentence1": TEXT, "sentence2": TEXT, "label": false_true()},
        train=[{"word": "bank", "sentence1": "A river bank.", "sentence2": "A bank account.", "label": 0}],
    )  # fmt: skip
    (row,) = rows_of(made)
    assert (row["text"], row["pair"]) == ("Word: bank\nA river bank.", "A bank account.")
    assert row["label"] == "different meaning"


def test_wsc_marks_the_pronoun_and_names_the_candidate(tmp_path: Path) -> None:
    """A pronoun that occurs twice is marked where it is meant, or the two rows would differ in their label alone."""
    text = 'Ida fed the cat, as it cried when "it snowed", she said.'
    spans = {"text": text, "span1_text": "the cat", "span2_text": "it"}
    made = canonical(
        tmp_path, "super_glue/wsc",
        {"text": TEXT, "span1_text": TEXT, "span2_text": TEXT, "span2_index": Value("int32"), "label": false_true()},
        train=[{**spans, "span2_index": 5, "label": 1}, {**spans, "span2_index": 8, "label": 0}],
    )  # fmt: skip
    first, second = rows_of(made)
    assert first["text"] == text.replace("as it", "as *it*")
    assert second["text"] == text.replace('"it', '"*it*')
    assert first["pair"] == second["pair"] == '"*it*" refers to "the cat".'
    assert (first["label"], second["label"]) == ("same referent", "different referent")


def test_stance_names_its_topic(tmp_path: Path) -> None:
    """Five stance sets say in each text what the stance is about, each something else, and share one head."""
    label = ClassLabel(names=["none", "against", "favor"])
    texts, keys = set(), set()
    for config, topic_name in tweets._STANCES:
        rows = [{"text": "Never again.", "label": 1}]
        made = canonical(tmp_path / config, f"tweet_eval/stance_{config}", {"text": TEXT, "label": label}, train=rows)
        (row,) = rows_of(made)
        assert topic_name in row["text"]
        assert row["text"].endswith("\nNever again.")
        assert row["label"] == "against"
        texts.add(row["text"])
        keys.add(sharing_key(made.task, made.labels))
    assert (len(texts), len(keys)) == (5, 1)


def test_labels_go_by_name_whatever_the_order_of_ids(tmp_path: Path) -> None:
    """Sources number the three inference classes differently; ours are entailment, neutral, contradiction."""
    label = ClassLabel(names=["contradiction", "entailment", "neutral"])
    rows = [{"premise": "It rains.", "hypothesis": f"Case {n}.", "label": n} for n in range(3)]
    made = canonical(tmp_path, "ConTRoL-nli", {"premise": TEXT, "hypothesis": TEXT, "label": label}, train=rows)
    assert made.labels == ("entailment", "neutral", "contradiction")
    assert [row["label"] for row in rows_of(made)] == ["contradiction", "entailment", "neutral"]


def test_two_way_sets_turn_neutral_and_contradiction_around(tmp_path: Path) -> None:
    """What does not follow is not_entailment, however the source calls it."""
    features = {"sentence1": TEXT, "sentence2": TEXT, "gold_label": TEXT}
    rows = [{"sentence1": "Ice.", "sentence2": f"Case {name}.", "gold_label": name} for name in nli._FOLLOWS_OR_NOT]
    made = canonical(tmp_path / "a", "scitail/snli_format", features, train=rows)
    assert [row["label"] for row in rows_of(made)] == ["entailment", "not_entailment"]
    features = {"premise": TEXT, "hypothesis": TEXT, "answer": TEXT}
    rows = [{"premise": f"Story {n}.", "hypothesis": "A starts after B", "answer": "contradiction"} for n in range(40)]
    made = canonical(tmp_path / "b", "tracie", features, train=rows)
    assert {row["label"] for row in rows_of(made)} == {"not_entailment"}
    assert made.splits["train"].num_rows + made.splits["validation"].num_rows == 40


def test_sick_direction_follows_the_label(tmp_path: Path) -> None:
    """What B says about A has B first; the task is a duplicate all the same."""
    features = {"sentence_A": TEXT, "sentence_B": TEXT, "entailment_BA": TEXT}
    rows = [{"sentence_A": "A dog.", "sentence_B": "A black dog.", "entailment_BA": "B_entails_A"}]
    made = canonical(tmp_path, "sick/entailment_BA", features, train=rows)
    (row,) = rows_of(made)
    assert (row["text"], row["pair"], row["label"]) == ("A black dog.", "A dog.", "entailment")
    assert made.task.defect is not None
    assert made.task.defect.kind == "duplicate"


def test_hidden_test_labels_are_not_used(tmp_path: Path) -> None:
    """The unlabeled test split of a GLUE task plays no role, though the source has it."""
    features = {"sentence": TEXT, "label": ClassLabel(names=["unacceptable", "acceptable"])}
    hidden = [{"sentence": "Who knows.", "label": -1}]
    rows = [{"sentence": "They left.", "label": 1}]
    made = canonical(tmp_path, "glue/cola", features, train=rows, validation=rows, test=hidden)
    assert set(made.splits) == {"train", "validation"}


def test_rows_without_a_majority_are_left_out(tmp_path: Path) -> None:
    """SNLI marks pairs without a majority by -1: counted, never trained on."""
    features = {"premise": TEXT, "hypothesis": TEXT, "label": ClassLabel(names=list(glue.THREE_WAY))}
    rows = [{"premise": f"A man {n}.", "hypothesis": "He runs.", "label": n % 3 if n else -1} for n in range(7)]
    made = canonical(tmp_path, "snli", features, train=rows)
    assert made.splits["train"].num_rows == 6
    assert sum(made.unused["train"].values()) == 1


def test_joci_keeps_its_five_levels(tmp_path: Path) -> None:
    """The rating from 1 to 5 is predicted as it is; 0 means unrated and is filtered out."""
    features = {"context": TEXT, "hypothesis": TEXT, "original_label": Value("int64")}
    rows = [{"context": f"Case {n}.", "hypothesis": "So.", "original_label": n % 6} for n in range(60)]
    made = canonical(tmp_path, "joci", features, full=rows)
    assert made.labels == ("impossible", "technically possible", "plausible", "likely", "very likely")
    both = rows_of(made) + rows_of(made, "validation")
    assert len(both) == 50
    for row in both:
        assert made.labels.index(row["label"]) + 1 == rows[row["row"]]["original_label"]


def test_defeasible_inference_shows_premise_and_hypothesis(tmp_path: Path) -> None:
    """The update is judged against both; rows without an update say nothing."""
    features = dict.fromkeys(("Premise", "Hypothesis", "Update", "UpdateType"), TEXT)
    base = {"Premise": "A man digs.", "Hypothesis": "He plants a tree."}
    rows = [
        base | {"Update": "A sapling lies near.", "UpdateType": "strengthener"},
        base | {"Update": "", "UpdateType": "weakener"},
    ]
    made = canonical(tmp_path, "defeasible-nli/snli", features, validation=rows)
    (row,) = rows_of(made, "validation")
    assert row["text"] == "Premise: A man digs.\nHypothesis: He plants a tree."
    assert (row["pair"], row["label"]) == ("A sapling lies near.", "strengthens the hypothesis")
    assert made.unused["validation"] == {"filtered": 1}


def test_three_turns_stand_in_one_text(tmp_path: Path) -> None:
    """The emotion of the last turn is read with the two turns before it; class 1 is happy."""
    features = {"turn1": TEXT, "turn2": TEXT, "turn3": TEXT, "label": Value("int64")}
    rows = [{"turn1": "Hi", "turn2": "Hello", "turn3": "I won!", "label": 1}]
    made = canonical(tmp_path, "emo/emo2019", features, train=rows)
    (row,) = rows_of(made)
    assert (row["text"], row["label"]) == ("Hi\nHello\nI won!", "happy")


def test_rater_shares_become_aspects(tmp_path: Path) -> None:
    """An aspect counts when at least half of the raters saw it."""
    aspects = topic._ASPECTS
    features = {"comment": TEXT} | {name: Value("float64") for name in aspects}
    shares = dict.fromkeys(aspects, 0.0) | {"race": 0.5, "violence": 0.49, "directed_vs_generalized": 1.0}
    rows = [{"comment": f"Comment {n}."} | shares for n in range(30)]
    made = canonical(tmp_path, "ethos/multilabel", features, train=rows)
    assert {tuple(row["labels"]) for row in rows_of(made)} == {("race", "directed at a person")}


def test_yes_or_no_from_booleans(tmp_path: Path) -> None:
    """A boolean answer becomes yes or no, and shares its head with the other closed-book set only."""
    rows = [{"question": f"Is {n} odd?", "answer": n % 2 == 1} for n in range(40)]
    made = canonical(tmp_path, "strategy-qa", {"question": TEXT, "answer": Value("bool")}, train=rows)
    for row in rows_of(made):
        assert row["label"] == ("yes" if rows[row["row"]]["answer"] else "no")
    key = sharing_key(made.task, made.labels)
    assert key == sharing_key(TASKS["commonsense_qa_2.0"], ("no", "yes"))
    assert key != sharing_key(TASKS["super_glue/boolq"], ("no", "yes"))


def test_trained_hate_sets_share_one_head() -> None:
    """Four sets ask for hate speech in different words."""
    names = ("not hate speech", "hate speech")
    hate = ("tweet_eval/hate", "ethos/binary", "tweets_hate_speech_detection", "hate_speech18")
    assert len({sharing_key(TASKS[task_id], names) for task_id in hate}) == 1
    for task_id in hate:
        kind = TASKS[task_id].kind
        assert isinstance(kind, Classification)
        ours = [pair[1] if isinstance(pair, tuple) else pair for pair in kind.names]
        assert [name for name in ours if name] == list(names)


def test_csv_quotes_and_line_breaks_are_no_part_of_the_text(tmp_path: Path) -> None:
    """PragmEval's texts lose the quotes of their csv files, tweets of the emotion set their written-out line breaks."""
    scale = {"sentence": TEXT, "label": ClassLabel(names=["low", "high"])}
    made = canonical(
        tmp_path, "pragmeval/emobank-dominance/single_input", scale,
        train=[{"sentence": '"""okay,"" she said."', "label": 1}, {"sentence": "okay.", "label": 0}],
    )  # fmt: skip
    assert [row["text"] for row in rows_of(made)] == ['"okay," she said.', "okay."]
    pairs = {"sentence1": TEXT, "sentence2": TEXT, "label": ClassLabel(names=["notsarc", "sarc"])}
    made = canonical(
        tmp_path, "pragmeval/sarcasm/pairs", pairs,
        train=[{"sentence1": '"a ""big"" fan"', "sentence2": '"""sure"""', "label": 1}],
    )  # fmt: skip
    assert [(row["text"], row["pair"]) for row in rows_of(made)] == [('a "big" fan', '"sure"')]
    tweet = {"text": TEXT, "label": ClassLabel(names=["anger", "joy", "optimism", "sadness"])}
    made = canonical(tmp_path, "tweet_eval/emotion", tweet, train=[{"text": "Gone\\n\\nfor good", "label": 3}])
    assert [row["text"] for row in rows_of(made)] == ["Gone\n\nfor good"]


def test_a_review_without_a_title_starts_with_its_content(tmp_path: Path) -> None:
    """No empty first line stands where a title is empty."""
    features = {"label": ClassLabel(names=["negative", "positive"]), "title": TEXT, "content": TEXT}
    rows = [{"label": 1, "title": "", "content": "Fine."}, {"label": 1, "title": "Wow", "content": "Fine."}]
    made = canonical(tmp_path, "amazon_polarity/amazon_polarity", features, train=rows)
    assert [row["text"] for row in rows_of(made)] == ["Fine.", "Wow\nFine."]


@pytest.mark.mirror
@pytest.mark.parametrize("task_id", TASKS)
def test_real_rows_load(task_id: str, mirror: Path) -> None:
    """What the mirror has of a task loads: no unknown label, hardly a row lost."""
    task = TASKS[task_id]
    if not (mirror / hub_of(task).repo).is_dir():
        pytest.skip("not in the mirror")
    try:
        raw = read(task, mirror=mirror)
    except SourceError:
        pytest.skip("this configuration is not in the mirror")
    made = standardize(task, raw)
    assert made.splits
    for split, table in made.splits.items():
        lost = {reason: n for reason, n in made.unused[split].items() if reason not in ("filtered", "label_left_out")}
        assert sum(lost.values()) <= 0.01 * table.num_rows + 2, (split, lost)
        assert "unknown_label" not in lost
        assert table.num_rows > 0
