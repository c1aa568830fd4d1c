"""The recipes of multiple choice, tagging and scores: what is shown, which answer is right, what is left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from taskloom.data.source import read
from taskloom.data.standardize import CanonicalTask, standardize
from taskloom.errors import SourceError
from taskloom.recipes.catalog import benchmarks, commonsense, reading, science, scores, tagging, tasksource_420
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recipe import Hub, MultipleChoice, Regression, Task

MODULES = (commonsense, science, reading, benchmarks, tagging, scores)
TASKS = {task.id: task for module in MODULES for task in module.TASKS}
TEXT = Value("string")
OPTIONS = {"text": List(TEXT), "label": List(TEXT)}


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
    """Return the rows of a split, with `right` (the text of the right choice) or label names added."""
    rows: list[dict[str, Any]] = made.splits[split].to_pylist()
    for row in rows:
        if "choices" in row:
            row["right"] = row["choices"][row["label"]]
        elif "labels" in row:
            row["labels"] = [made.labels[label] for label in row["labels"]]
    return rows


def texts(*names: str) -> dict[str, Value]:
    """Return text features of these names."""
    return dict.fromkeys(names, TEXT)


def test_ids_are_unique_and_in_the_collection() -> None:
    """No id is written twice; the three large benchmarks are complete and have the ids of the collection."""
    assert len(TASKS) == sum(len(module.TASKS) for module in MODULES)
    for prefix, count in (("bigbench/", 101), ("hendrycks_test/", 57), ("blimp/", 22)):
        ids = {task_id for task_id in TASKS if task_id.startswith(prefix)}
        assert len(ids) == count
        assert ids <= tasksource_420()


def test_benchmarks_are_never_trained_by_accident() -> None:
    """Every task of the benchmark file has role evaluation, but for preferences and what carries a defect."""
    trained = {task.id for task in benchmarks.TASKS if task.role == "train" and task.defect is None}
    assert trained == {"hh-rlhf", "hh-rlhf/harmless-base"}


def test_every_task_says_what_is_asked_and_whom_to_cite() -> None:
    """People see for each task a question and a citation key."""
    assert [task.id for task in TASKS.values() if not task.question.endswith(("?", "?)", ")"))] == []
    assert [task.id for task in TASKS.values() if not task.citation] == []


def test_arc_keys_are_letters_or_digits(tmp_path: Path) -> None:
    """The key is looked up in the row's own labels; a key that is not there is counted, not guessed."""
    base = {"question": "Which one floats?"}
    three = ["a brick", "a cork", "a nail"]
    rows = [
        base | {"choices": {"text": three, "label": ["1", "2", "3"]}, "answerKey": "2"},
        base | {"choices": {"text": three, "label": ["A", "B", "C"]}, "answerKey": "B"},
        base | {"choices": {"text": [*three, "a leaf"], "label": ["A", "B", "C", "D"]}, "answerKey": "D"},
        base | {"choices": {"text": three, "label": ["A", "B", "C"]}, "answerKey": "2"},
    ]
    features = texts("question", "answerKey") | {"choices": OPTIONS}
    made = canonical(tmp_path, "ai2_arc/ARC-Easy/challenge", features, train=rows)
    assert [row["right"] for row in rows_of(made)] == ["a cork", "a cork", "a leaf"]
    assert [len(row["choices"]) for row in rows_of(made)] == [3, 3, 4]
    assert made.unused["train"] == {"answer_not_in_choices": 1}


def test_eight_options_stay_eight(tmp_path: Path) -> None:
    """QASC has eight options and keeps them all."""
    letters = list("ABCDEFGH")
    rows = [{"question": "Which?", "choices": {"text": [f"x{n}" for n in letters], "label": letters}, "answerKey": "H"}]
    made = canonical(tmp_path, "qasc", texts("question", "answerKey") | {"choices": OPTIONS}, train=rows)
    (row,) = rows_of(made)
    assert (len(row["choices"]), row["right"]) == (8, "xH")


@pytest.mark.parametrize("task_id", ["super_glue/copa", "balanced-copa"])
def test_copa_asks_for_cause_or_effect(task_id: str, tmp_path: Path) -> None:
    """The prompt ends with the question that decides between the two options."""
    base = {"premise": "The lamp went out.", "choice1": "The bulb broke.", "choice2": "It got dark."}
    rows = [base | {"question": "cause", "label": 0}, base | {"question": "effect", "label": 1}]
    features = texts("premise", "choice1", "choice2", "question") | {"label": Value("int64")}
    first, second = rows_of(canonical(tmp_path, task_id, features, train=rows))
    assert first["prompt"] == "The lamp went out.\nWhat was the cause of this?"
    assert second["prompt"] == "The lamp went out.\nWhat happened as a result?"
    assert (first["right"], second["right"]) == ("The bulb broke.", "It got dark.")


def test_bigbench_label_is_the_one_best_score(tmp_path: Path) -> None:
    """The right answer is the option scored highest; rows with none or several such options are not used."""
    options = ["red", "green", "blue"]
    every = [[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 20
    scored = [*every, [0, 0, 0], [1, 1, 0]]
    rows = [
        {"inputs": f"Question {n}", "multiple_choice_targets": options, "multiple_choice_scores": scored[n]}
        for n in range(len(scored))
    ]
    features = {"inputs": TEXT, "multiple_choice_targets": List(TEXT), "multiple_choice_scores": List(Value("int32"))}
    made = canonical(tmp_path, "bigbench/snarks", features, train=rows)
    found = rows_of(made)
    assert [row["right"] for row in found] == options * 20
    assert len({tuple(row["choices"]) for row in found}) == 6
    assert sum(made.unused["train"].values()) == 2


def test_blimp_positions_are_uniform_and_stable(tmp_path: Path) -> None:
    """The good sentence, first in the source, stands in both places equally often, in the same place each time."""
    rows = [{"sentence_good": f"They are {n}.", "sentence_bad": f"They is {n}."} for n in range(1000)]
    features = texts("sentence_good", "sentence_bad")
    made = canonical(tmp_path / "a", "blimp/inchoative/hard", features, train=rows)
    found = rows_of(made, "test")
    assert all(" are " in row["right"] for row in found)
    assert 420 < sum(row["label"] for row in found) < 580  # five standard deviations of a fair coin
    again = canonical(tmp_path / "b", "blimp/inchoative/hard", features, train=rows)
    assert [row["label"] for row in rows_of(again, "test")] == [row["label"] for row in found]
    other = canonical(tmp_path / "c", "blimp/drop_argument/hard", features, train=rows)
    assert [row["label"] for row in rows_of(other, "test")] != [row["label"] for row in found]


def test_answers_that_stand_first_are_shuffled(tmp_path: Path) -> None:
    """SciQ, OneStopQA and TruthfulQA list the right answer first: all four places get their share."""
    names = ("correct_answer", "distractor1", "distractor2", "distractor3")
    rows = [{"question": f"{n}?", "support": "Facts."} | {name: f"{name} {n}" for name in names} for n in range(400)]
    made = canonical(tmp_path, "sciq", texts("question", "support", *names), train=rows)
    found = rows_of(made)
    assert all(row["right"].startswith("correct") for row in found)
    assert all(60 < count < 140 for count in Counter(row["label"] for row in found).values())
    assert found[0]["prompt"] == "Facts.\n0?"

    features = {"question": TEXT, "mc1_targets": {"choices": List(TEXT), "labels": List(Value("int32"))}}
    rows = [{"question": "Who?", "mc1_targets": {"choices": ["true", "b", "c"], "labels": [1, 0, 0]}}] * 60
    made = canonical(tmp_path, "truthful_qa/multiple_choice", features, validation=rows)
    found = rows_of(made, "validation")
    assert {row["right"] for row in found} == {"true"}
    assert {row["label"] for row in found} == {0, 1, 2}


def test_mathqa_options_are_taken_apart(tmp_path: Path) -> None:
    """Letters decide, not places: a row that lacks an option still finds its answer, or is not used."""
    rows = [
        {"Problem": "2 + 2 ?", "options": "a ) 1 , b ) 2 , c ) 3 , d ) 4 , e ) none of these", "correct": "d"},
        {"Problem": "1,000 + 1 ?", "options": "a ) 1,001 , b ) 2 , d ) 1,000 , e ) 4", "correct": "d"},
        {"Problem": "1 + 2 ?", "options": "a ) 1 , b ) 2 , d ) 4 , e ) 5", "correct": "c"},
    ]
    made = canonical(tmp_path, "math_qa", texts("Problem", "options", "correct"), test=rows)
    first, second = rows_of(made, "test")
    assert first["choices"] == ["1", "2", "3", "4", "none of these"]
    assert (first["right"], second["right"]) == ("4", "1,000")
    assert made.unused["test"] == {"answer_not_in_choices": 1}


def test_letters_before_options_are_left_out(tmp_path: Path) -> None:
    """AQuA and LogiQA write the letter into the option; the key is that letter."""
    rows = [{"question": "5 x 5?", "options": ["A)10", "B)20", "C)25", "D)30", "E)None"], "correct": "C"}]
    features = texts("question", "correct") | {"options": List(TEXT)}
    (row,) = rows_of(canonical(tmp_path, "aqua_rat/raw", features, test=rows), "test")
    assert (row["choices"], row["right"]) == (["10", "20", "25", "30", "None"], "25")
    rows = [{"context": "All a are b.", "question": "So?", "options": ["A.x", "B.y", "C.z", "D.w"], "answer": "B"}]
    features = texts("context", "question", "answer") | {"options": List(TEXT)}
    (row,) = rows_of(canonical(tmp_path, "logiqa", features, test=rows), "test")
    assert (row["prompt"], row["right"]) == ("All a are b.\nSo?", "y")


def test_deciding_texts_are_shown(tmp_path: Path) -> None:
    """Context, connective, paragraph, dialogue and documents stand in the prompt, and the question last."""
    features = texts("context", "question", "answerA", "answerB", "answerC", "label")
    answers = {"answerA": "a", "answerB": "b", "answerC": "c"}
    rows = [{"context": "Kai won.", "question": "How did Kai feel?", "label": "3"} | answers]
    (row,) = rows_of(canonical(tmp_path, "social_i_qa", features, train=rows))
    assert (row["prompt"], row["right"]) == ("Kai won.\nHow did Kai feel?", "c")

    options = {f"option_{n}": f"o{n}" for n in range(4)}
    rows = [{"context": "It rained.", "marker": "however", "label": 1} | options]
    features = texts("context", "marker", *options) | {"label": Value("int64")}
    (row,) = rows_of(canonical(tmp_path, "discosense", features, test=rows), "test")
    assert (row["prompt"], row["right"]) == ("It rained.\nhowever", "o1")

    rows = [{"para": "Ice melts.", "question": "Then?", "choices": {"text": ["x", "y"], "label": ["A", "B"]},
             "answerKey": "B"}]  # fmt: skip
    features = texts("para", "question", "answerKey") | {"choices": OPTIONS}
    (row,) = rows_of(canonical(tmp_path, "quartz", features, test=rows), "test")
    assert (row["prompt"], row["right"]) == ("Ice melts.\nThen?", "y")

    rows = [{"dialogue": ["A: Tea?", "B: Yes."], "question": "What?", "choice": ["milk", "tea"], "answer": "tea"}]
    features = texts("question", "answer") | {"dialogue": List(TEXT), "choice": List(TEXT)}
    (row,) = rows_of(canonical(tmp_path, "dream", features, test=rows), "test")
    assert (row["prompt"], row["right"]) == ("A: Tea?\nB: Yes.\nWhat?", "tea")

    rows = [{"supports": ["Bo was born in Rome."], "query": "place_of_birth bo", "candidates": ["oslo", "rome"],
             "answer": "rome"}]  # fmt: skip
    features = texts("query", "answer") | {"supports": List(TEXT), "candidates": List(TEXT)}
    (row,) = rows_of(canonical(tmp_path, "wiki_hop", features, validation=rows), "validation")
    assert row["prompt"] == 'Bo was born in Rome.\nWhat is the value of "place of birth" for bo?'
    assert row["right"] == "rome"


def test_art_shows_both_observations(tmp_path: Path) -> None:
    """Observations are the prompt and hypotheses the options; the key counts from one."""
    rows = [{"observation_1": "Al slept.", "observation_2": "Al was late.", "hypothesis_1": "Al woke early.",
             "hypothesis_2": "The alarm failed.", "label": 2}]  # fmt: skip
    features = texts("observation_1", "observation_2", "hypothesis_1", "hypothesis_2")
    made = canonical(tmp_path, "art", features | {"label": ClassLabel(names=["0", "1", "2"])}, train=rows)
    (row,) = rows_of(made)
    assert row["prompt"] == "Beginning: Al slept.\nEnding: Al was late.\nWhat happened in between?"
    assert row["right"] == "The alarm failed."


def test_hellaswag_endings_begin_with_their_start(tmp_path: Path) -> None:
    """The start of the ending goes before each ending with a blank; markup is cleaned; the key is a digit."""
    rows = [
        {"ctx_a": "A dog sees a ball.", "ctx_b": "It", "endings": ["runs.", "flies.", "melts."], "label": "0"},
        {"ctx_a": "[header] Tea [title] Boil water.", "ctx_b": "", "endings": ["[step] a", "b", "c"], "label": "2"},
    ]
    features = texts("ctx_a", "ctx_b", "label") | {"endings": List(TEXT)}
    first, second = rows_of(canonical(tmp_path, "hellaswag", features, train=rows))
    assert first["choices"][0] == first["right"] == "It runs."
    assert (second["prompt"], second["choices"]) == ("Tea. Boil water.", ["a", "b", "c"])
    assert second["right"] == "c"


def test_quarel_options_come_out_of_the_question(tmp_path: Path) -> None:
    """The stem is the prompt, the two options are choices, and a question without options is not used."""
    rows = [
        {"question": "A sled slides further on (A) ice (B) sand", "answer_index": 0},
        {"question": "A ball rolls further on (A) grass (B) tiles", "answer_index": 1},
        {"question": "Which is it?", "answer_index": 1},
    ]
    made = canonical(tmp_path, "quarel", {"question": TEXT, "answer_index": Value("int32")}, train=rows)
    first, second = rows_of(made)
    assert (first["prompt"], first["choices"], first["right"]) == ("A sled slides further on", ["ice", "sand"], "ice")
    assert second["right"] == "tiles"
    assert sum(made.unused["train"].values()) == 1


def test_preferences_share_the_dialogue(tmp_path: Path) -> None:
    """The dialogue is the prompt, the two last replies are the choices; pairs that part earlier are not used."""
    talk = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Help?\n\nAssistant:"
    rows = [{"chosen": f"{talk} Sure, number {n}.", "rejected": f"{talk} No."} for n in range(40)]
    rows += [{"chosen": f"{talk} Yes.", "rejected": "\n\nHuman: Ho\n\nAssistant: No."}]
    made = canonical(tmp_path, "hh-rlhf/harmless-base", texts("chosen", "rejected"), test=rows)
    found = rows_of(made, "test")
    assert len(found) == 40
    assert {row["prompt"] for row in found} == {talk.strip()}
    assert all(row["right"].startswith("Sure") for row in found)
    assert {row["label"] for row in found} == {0, 1}


def test_the_odd_statement_and_its_reason(tmp_path: Path) -> None:
    """The false statement is the answer of the first task and the prompt of the second; both hold out the same rows."""
    rows = [
        {"id": str(n), "sentence0": f"{n} cats bark", "sentence1": f"{n} dogs bark", "false": 0, "reason": "B",
         "A": "no", "B": "cats mew", "C": "so"}
        for n in range(100)
    ]  # fmt: skip
    features = texts("id", "sentence0", "sentence1", "A", "B", "C", "reason") | {"false": Value("int64")}
    first = canonical(tmp_path, "sen-making/1", features, train=rows)
    second = canonical(tmp_path, "sen-making/2", features, train=rows)
    assert all("cats" in row["right"] for row in rows_of(first))
    for row in rows_of(second):
        assert row["prompt"] == f"{row['row']} cats bark\nWhy does this not make sense?"
        assert row["right"] == "cats mew"
    held = [{row["row"] for row in rows_of(made, "validation")} for made in (first, second)]
    assert held[0] == held[1]
    assert 1 <= len(held[0]) <= 30


def test_the_pronoun_in_question_is_marked(tmp_path: Path) -> None:
    """Where a pronoun occurs twice, the asterisks show which one is meant."""
    text = "The cup and the jug fell, and it broke as it hit the floor."
    rows = [{"text": text, "pronoun": "it", "pronoun_loc": text.rindex(" it ") + 1, "options": ["The cup", "The jug"],
             "label": 1}]  # fmt: skip
    numbers = dict.fromkeys(("pronoun_loc", "label"), Value("int32"))
    features = texts("text", "pronoun") | numbers | {"options": List(TEXT)}
    (row,) = rows_of(canonical(tmp_path, "winograd_wsc/wsc273", features, test=rows), "test")
    assert row["prompt"] == text.replace("as it hit", "as *it* hit") + '\nWhat does "*it*" refer to?'
    assert row["right"] == "The jug"


@pytest.mark.parametrize("with_names", [True, False])
def test_chemicals_and_diseases_in_both_forms(with_names: bool, tmp_path: Path) -> None:
    """One copy of BC5CDR has class names in another order, the other bare integers: the labels are the same."""
    if with_names:
        tag: Any = ClassLabel(names=["O", "I-Disease", "I-Chemical", "B-Disease", "B-Chemical"])
        tags = [4, 0, 3, 1]
    else:
        tag, tags = Value("int32"), [1, 0, 2, 3]
    rows = [{"tokens": ["Aspirin", "against", "heart", "attacks"], "tags": tags}]
    made = canonical(tmp_path, "bc5cdr", {"tokens": List(TEXT), "tags": List(tag)}, train=rows)
    assert made.labels == ("O", "B-Chemical", "B-Disease", "I-Disease", "I-Chemical")
    (row,) = rows_of(made)
    assert row["labels"] == ["B-Chemical", "O", "B-Disease", "I-Disease"]


def test_ontonotes_integers_get_their_names(tmp_path: Path) -> None:
    """The 37 tags: O, then B and I of each type in the order of the data card."""
    rows = [{"tokens": ["In", "New", "York", "today"], "ner_tags": [0, 9, 10, 15]}]
    features = {"tokens": List(TEXT), "ner_tags": List(Value("int64"))}
    made = canonical(tmp_path, "ontonotes_english/SpeedOfMagic--ontonotes_english", features, train=rows)
    assert len(made.labels) == 37
    assert rows_of(made)[0]["labels"] == ["O", "B-GPE", "I-GPE", "B-DATE"]


def test_bare_tags_say_what_they_mark(tmp_path: Path) -> None:
    """B and I alone mean nothing: they become species, and the two species sets share one head."""
    tag = ClassLabel(names=["O", "B", "I"])
    rows = [{"tokens": ["Homo", "sapiens", "runs"], "ner_tags": [1, 2, 0]}]
    made = canonical(tmp_path, "linnaeus/linnaeus", {"tokens": List(TEXT), "ner_tags": List(tag)}, train=rows)
    assert rows_of(made)[0]["labels"] == ["B-Species", "I-Species", "O"]
    assert sharing_key(made.task, made.labels) == sharing_key(TASKS["species_800/species_800"], made.labels)


def test_eurlex_codes_become_subjects(tmp_path: Path) -> None:
    """EuroVoc's numbers are read as its 127 microthesauri."""
    tag = ClassLabel(names=[str(number) for number in range(100163, 100290)])
    rows = [{"text": "Council regulation on sugar", "labels": [0, 93, 126]}]
    made = canonical(tmp_path, "lex_glue/eurlex", {"text": TEXT, "labels": List(tag)}, train=rows)
    assert len(made.labels) == 127
    names = ["political framework", "beverages and sugar", "non-governmental organisations"]
    assert rows_of(made)[0]["labels"] == names


def test_scores_stay_in_their_units(tmp_path: Path) -> None:
    """A score is kept as it is; the edited headline is shown beside the original."""
    rows = [{"headline": "Cat naps", "edited": "Cat votes", "meanGrade": 2.4}]
    features = texts("headline", "edited") | {"meanGrade": Value("float32")}
    (row,) = rows_of(canonical(tmp_path, "humicroedit/subtask-1", features, train=rows))
    assert (row["text"], row["pair"]) == ("Cat naps", "Cat votes")
    assert row["score"] == pytest.approx(2.4)
    limits = {task.id: (task.kind.low, task.kind.high) for task in scores.TASKS if isinstance(task.kind, Regression)}
    assert limits["glue/stsb"] == (0, 5)
    assert limits["sick/relatedness"] == (1, 5)
    assert limits["google_wellformed_query"] == limits["semeval2018_affect/V-reg"] == (0, 1)


@pytest.mark.mirror
@pytest.mark.parametrize("task_id", TASKS)
def test_real_rows_load(task_id: str, mirror: Path) -> None:
    """What the mirror has of a task loads, hardly a row is lost, and the right answer has no fixed place."""
    task = TASKS[task_id]
    if not (mirror / hub_of(task).repo).is_dir():
        pytest.skip("not in the mirror")
    try:
        made = standardize(task, read(task, mirror=mirror))
    except SourceError:
        pytest.skip("this configuration is not in the mirror")
    assert made.splits
    for split, table in made.splits.items():
        lost = {reason: count for reason, count in made.unused[split].items() if reason != "filtered"}
        assert sum(lost.values()) <= 0.01 * table.num_rows + 1, (split, lost)
        assert table.num_rows > 0
        if isinstance(task.kind, MultipleChoice) and table.num_rows >= 100:
            (_, most), *_ = Counter(table["label"].to_pylist()).most_common(1)
            assert most < 0.7 * table.num_rows, split
