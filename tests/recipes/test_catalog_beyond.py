"""The recipes beyond the 420: what is shown, which answer is right, which rows and labels are left out."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from taskloom.data.source import read
from taskloom.data.standardize import CanonicalTask, standardize
from taskloom.errors import DataError, RecipeError
from taskloom.recipes.catalog import catalog, collections_of, gradings, passages, plausibility, utterances
from taskloom.recipes.check import check_types
from taskloom.recipes.facts import without_entry
from taskloom.recipes.functions import column_function
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recipe import Hub, Regression, Task
from taskloom.recipes.select import get_task

MODULES = (utterances, passages, plausibility, gradings)
TASKS = {task.id: task for module in MODULES for task in module.TASKS}
ON_MIRROR = [*(task.id for task in utterances.TASKS), "universal_dependencies/en_ewt/deprel"]
TEXT, NUMBER, SCORE = Value("string"), Value("int64"), Value("float64")
COPIES = {  # (repository, configuration) in the mirror -> the task that reads the same rows elsewhere, both's columns
    ("Anthropic/hh-rlhf", "harmless-base"): (
        "hh-rlhf/harmless-base", ("chosen", "rejected"), ("chosen", "rejected")
    ),
    ("SemEvalWorkshop/emo", "emo2019"): ("emo/emo2019", ("turn1", "turn2", "turn3"), ("text",)),
    ("iamollas/ethos", "binary"): ("ethos/binary", ("text",), ("text",)),
    ("iamollas/ethos", "multilabel"): ("ethos/multilabel", ("comment",), ("text",)),
    ("takala/financial_phrasebank", "sentences_allagree"): (
        "financial_phrasebank/sentences_allagree", ("text",), ("sentence",)
    ),
}  # fmt: skip


def hub_of(task: Task) -> Hub:
    """Return the task's source, which is a hub repository in these files."""
    assert isinstance(task.source, Hub)
    return task.source


def canonical(
    folder: Path, task_id: str, features: Mapping[str, Any], **splits: Sequence[Mapping[str, Any]]
) -> CanonicalTask:
    """Write made-up rows as a mirror of the task's repository and return what the recipe makes of them."""
    task = TASKS[task_id]
    config = hub_of(task).config or "default"
    home = folder / hub_of(task).repo
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
    """Return the rows of a split, with `right` (the text of the right choice) or label names in place of ids."""
    rows: list[dict[str, Any]] = made.splits[split].to_pylist()
    for row in rows:
        if "choices" in row:
            row["right"] = row["choices"][row["label"]]
        elif "labels" in row:
            row["labels"] = [made.labels[label] for label in row["labels"]]
        elif "label" in row:
            row["label"] = made.labels[row["label"]]
    return rows


def texts(*names: str) -> dict[str, Value]:
    """Return text features of these names."""
    return dict.fromkeys(names, TEXT)


def test_every_task_is_extra_asks_something_and_is_cited() -> None:
    """No id twice, none of the 420, a question for people, and a BibTeX entry behind each citation."""
    assert len(TASKS) == sum(len(module.TASKS) for module in MODULES)
    assert [task.id for task in TASKS.values() if collections_of(task) != ("extra", "all")] == []
    assert [task.id for task in TASKS.values() if not task.question.endswith(("?", "?)", ")"))] == []
    assert [task.id for task in TASKS.values() if not task.citation] == []
    assert without_entry(TASKS.values()) == []


def test_a_recipe_without_a_schema_says_on_what_it_rests() -> None:
    """What is on the mirror rests on its schema; everything else names its ground, and nothing is at fault."""
    assert [task.id for task in TASKS.values() if not task.rests_on] == ON_MIRROR
    assert [fault for task in TASKS.values() for fault in check_types(task).faults] == []


@pytest.mark.mirror
def test_every_set_of_the_mirror_has_a_recipe_or_is_a_copy(mirror: Path) -> None:
    """Each configuration that the mirror lists is read by a task under its own name, or stands among the copies."""
    lines = (mirror / "INDEX.jsonl").read_text(encoding="utf-8").splitlines()
    listed = {(one["id"], one["config"]) for one in map(json.loads, lines)}
    sources = {(task.source.repo, task.source.config) for task in catalog() if isinstance(task.source, Hub)}
    alone = {repo for repo, count in Counter(repo for repo, _ in listed).items() if count == 1}

    def is_read(repo: str, config: str) -> bool:
        wanted = {repo} if repo in alone else set()
        return (repo, config) in sources or any(
            name in wanted or (name == repo and asked is None and config == "default") for name, asked in sources
        )

    assert {one for one in listed if not is_read(*one)} == COPIES.keys()


@pytest.mark.mirror
@pytest.mark.parametrize("place", COPIES)
def test_copies_hold_the_same_texts(place: tuple[str, str], mirror: Path) -> None:
    """All texts of a copy stand in the set that our task reads, blanks and punctuation apart."""

    def folded(task: Task, names: Sequence[str]) -> set[str]:
        tables = read(task, mirror=mirror).splits.values()
        rows = (row for table in tables for row in table.select(names).to_pylist())
        return {re.sub(r"\W+", "", "".join(row[name] for name in names)).casefold() for row in rows}

    name, ours, theirs = COPIES[place]
    task = get_task(name)
    copy = folded(dataclasses.replace(task, source=Hub(*place)), theirs)
    assert len(copy) > 400
    assert copy <= folded(task, ours)


@pytest.mark.mirror
@pytest.mark.parametrize("task_id", ON_MIRROR)
def test_real_rows_load(task_id: str, mirror: Path) -> None:
    """Nothing is lost but what is left out on purpose, and every split has rows."""
    made = standardize(TASKS[task_id], read(TASKS[task_id], mirror=mirror))
    assert made.splits
    for split, table in made.splits.items():
        assert set(made.unused[split]) <= {"label_left_out"}, split
        assert table.num_rows >= 100


@pytest.mark.mirror
def test_acts_of_mrda_are_named_after_their_rows(mirror: Path) -> None:
    """Disruptions break off (written "=="), questions end in a question mark, as the names claim."""
    rows = rows_of(standardize(TASKS["silicone/mrda"], read(TASKS["silicone/mrda"], mirror=mirror)))
    ends = {"disruption": "==", "question": "?"}
    for name, mark in ends.items():
        texts_of = [row["text"].rstrip() for row in rows if row["label"] == name]
        assert sum(text.endswith(mark) for text in texts_of) > 0.9 * len(texts_of), name
    others = [row["text"].rstrip() for row in rows if row["label"] in ("statement", "backchannel")]
    assert sum(text.endswith("==") for text in others) < 0.02 * len(others)


@pytest.mark.mirror
def test_no_tweet_tells_that_it_was_collected_as_ironic(mirror: Path) -> None:
    """The source's test rows keep the hashtags that the train rows lack; ours have them nowhere."""
    task = TASKS["semeval2018_irony_b"]
    raw, tag = read(task, mirror=mirror), re.compile(r"#(irony|sarcasm|not)(?![\w-])", re.IGNORECASE)
    assert sum(bool(tag.search(text)) for text in raw.splits["test"]["text"].to_pylist()) > 300
    made = standardize(task, raw)
    assert [text for table in made.splits.values() for text in table["text"].to_pylist() if tag.search(text)] == []


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("without_irony_tags", "Great. #irony #Life", "Great. #Life"),
        ("without_irony_tags", "So #not  happy #Sarcasm", "So happy"),
        ("without_irony_tags", "#not-a-clone #nothanks", "#not-a-clone #nothanks"),
        ("undoubled", 'the ""best"" one', 'the "best" one'),
    ],
)
def test_texts_are_cleaned(name: str, given: str, expected: str) -> None:
    """Telling hashtags and doubled quotes go; other words with the same beginning stay."""
    assert column_function(name).call([given, None]) == [expected, None]


def test_acts_of_switchboard_by_name(tmp_path: Path) -> None:
    """Two names of one act meet; continuations and noises are counted and left out."""
    tag = ClassLabel(names=[source for source, _ in TASKS["silicone/swda"].kind.names])  # type: ignore[union-attr]
    acts = ["sv", "sv_fx", 'fo_o_fw_"_by_bc', 'fo_o_fw_by_bc_"', "+", "x", "qrr"]
    rows = [{"Utterance": f"utterance {act}", "Label": tag.str2int(act)} for act in acts]
    made = canonical(tmp_path, "silicone/swda", {"Utterance": TEXT, "Label": tag}, train=rows)
    assert [row["label"] for row in rows_of(made)] == ["opinion", "opinion", "other", "other", "or-clause"]
    assert made.unused["train"] == {"label_left_out": 2}


def test_an_act_that_is_not_listed_is_an_error(tmp_path: Path) -> None:
    """A sixth group of acts does not turn into one of the five."""
    tag = ClassLabel(names=["s", "d", "b", "f", "q", "z"])
    rows = [{"Utterance": "so ==", "Label": 3}]
    with pytest.raises(RecipeError, match="'z' is not listed"):
        canonical(tmp_path, "silicone/mrda", {"Utterance": TEXT, "Label": tag}, train=rows)


def test_valence_goes_by_name(tmp_path: Path) -> None:
    """Class 0 is the most negative, whatever its id; line breaks written out become line breaks."""
    tag = ClassLabel(names=["0", "-3", "3", "-2", "-1", "1", "2"])
    rows = [{"Tweet": "bad\\nday", "Intensity Class": 1}, {"Tweet": "fine", "Intensity Class": 0}]
    made = canonical(tmp_path, "semeval2018_affect/V-oc", {"Tweet": TEXT, "Intensity Class": tag}, train=rows)
    assert [(row["text"], row["label"]) for row in rows_of(made)] == [
        ("bad\nday", "very negative"), ("fine", "neutral or mixed")
    ]  # fmt: skip


def test_stars_share_a_head() -> None:
    """Both sets of reviews with stars mean the same by them; the shades of irony share with nobody."""
    stars, other = TASKS["amazon_review_5class"], get_task("yelp_review_full/yelp_review_full")
    names = [ours for _, ours in stars.kind.names]  # type: ignore[union-attr]
    assert sharing_key(stars, names) == sharing_key(other, [ours for _, ours in other.kind.names])  # type: ignore[union-attr]


def test_the_stereotype_has_no_fixed_place(tmp_path: Path) -> None:
    """The sentence that the source puts first is right, and stands in both places."""
    rows = [{"sent_more": f"More {n}", "sent_less": f"Less {n}", "bias_type": n % 9} for n in range(200)]
    tag = ClassLabel(names=list(dict(TASKS["crows_pairs/bias_type"].kind.names)))  # type: ignore[union-attr]
    features = texts("sent_more", "sent_less") | {"bias_type": tag}
    found = rows_of(canonical(tmp_path, "crows_pairs/stereotype", features, test=rows), "test")
    assert all(row["right"].startswith("More") for row in found)
    assert 60 < sum(row["label"] for row in found) < 140
    assert TASKS["crows_pairs/stereotype"].role == TASKS["crows_pairs/bias_type"].role == "evaluation"


def test_duplicates_are_out_of_training() -> None:
    """The second RTE and the third CLINC can be loaded by name, and train nobody."""
    kinds = {task.id: task.defect.kind for task in TASKS.values() if task.defect}
    assert kinds == {"clinc_oos/imbalanced": "duplicate", "super_glue/rte": "duplicate"}


@pytest.mark.parametrize("name", ["cloth", "dgen"])
def test_the_word_taken_out_is_among_the_others(name: str, tmp_path: Path) -> None:
    """The answer and all distractors, however many, are the options; the answer has no fixed place."""
    rows = [
        {"sentence": f"{n} [MASK]", "answer": f"right {n}", "distractors": [f"wrong {k}" for k in range(2 + n % 2)]}
        for n in range(200)
    ]
    found = rows_of(canonical(tmp_path, name, texts("sentence", "answer") | {"distractors": List(TEXT)}, train=rows))
    assert all(row["right"].startswith("right") for row in found)
    assert Counter(len(row["choices"]) for row in found) == {3: 100, 4: 100}
    assert len({row["label"] for row in found}) == 4


def test_books_show_their_sentences_before_the_gap(tmp_path: Path) -> None:
    """The twenty sentences stand before the one with the gap; an answer that is no option is counted."""
    base = {"sentences": ["Tom ran.", "Ann sat."], "question": "XXXXX was tired ."}
    rows = [base | {"answer": "Tom", "options": ["Ann", "Tom"]}, base | {"answer": "Bob", "options": ["Ann", "Tom"]}]
    features = texts("question", "answer") | {"sentences": List(TEXT), "options": List(TEXT)}
    made = canonical(tmp_path, "cbt/ne", features, train=rows)
    (row,) = rows_of(made)
    assert (row["prompt"], row["right"]) == ("Tom ran.\nAnn sat.\nXXXXX was tired .", "Tom")
    assert made.unused["train"] == {"answer_not_in_choices": 1}
    assert hub_of(TASKS["cbt/ne"]).config == "NE" and hub_of(TASKS["cbt/cn"]).config == "CN"


def test_medical_answers_go_by_their_number(tmp_path: Path) -> None:
    """The key is the number of an answer, counted from one or not, never its place."""
    answers = [{"aid": 2, "atext": "liver"}, {"aid": 1, "atext": "lung"}, {"aid": 5, "atext": "none"}]
    rows = [{"qtext": "Where?", "ra": ra, "answers": answers} for ra in (1, 5, 3)]
    features = {"qtext": TEXT, "ra": NUMBER, "answers": List({"aid": NUMBER, "atext": TEXT})}
    made = canonical(tmp_path, "head_qa/en", features, train=rows)
    assert [row["right"] for row in rows_of(made)] == ["lung", "none"]
    assert made.unused["train"] == {"answer_not_in_choices": 1}


def test_a_school_question_keeps_its_hint(tmp_path: Path) -> None:
    """What the question refers to stands before it; a question without a hint starts the prompt."""
    base = {"question": "Who won?", "choices": ["Al", "Bo"], "answer": 1}
    rows = [base | {"hint": "Bo beat Al."}, base | {"hint": ""}]
    features = texts("question", "hint") | {"choices": List(TEXT), "answer": Value("int8")}
    found = rows_of(canonical(tmp_path, "ScienceQA_text_only", features, train=rows))
    assert [row["prompt"] for row in found] == ["Bo beat Al.\nWho won?", "Who won?"]
    assert {row["right"] for row in found} == {"Bo"}


@pytest.mark.parametrize(
    ("task_id", "row", "features", "prompt"),
    [
        ("reclor", {"context": "All cats nap.", "answers": ["a", "b"]}, {"context": TEXT, "answers": List(TEXT)},
         "All cats nap.\nSo?"),
        ("race-c", {"article": "Long text.", "option": ["a", "b"]}, {"article": TEXT, "option": List(TEXT)},
         "Long text.\nSo?"),
        ("spartqa-mchoice", {"story": "A is above B.", "candidate_answers": ["a", "b"], "answer": 1},
         {"story": TEXT, "candidate_answers": List(TEXT), "answer": NUMBER}, "A is above B.\nSo?"),
    ],
)  # fmt: skip
def test_a_passage_comes_before_its_question(
    task_id: str, row: dict[str, Any], features: dict[str, Any], prompt: str, tmp_path: Path
) -> None:
    """The question stands last, where no truncation reaches it."""
    rows = [{"question": "So?", "label": 1} | row]
    made = canonical(tmp_path, task_id, {"question": TEXT, "label": NUMBER} | features, train=rows)
    (found,) = rows_of(made)
    assert (found["prompt"], found["right"]) == (prompt, "b")


def test_causes_and_effects_are_told_apart(tmp_path: Path) -> None:
    """The prompt says which of the two is asked for; another question is not guessed at."""
    base = {"premise": "It rained.", "choice1": "Clouds came.", "choice2": "Streets got wet."}
    rows = [base | {"question": "cause", "label": 0}, base | {"question": "effect", "label": 1}]
    features = texts("premise", "choice1", "choice2", "question") | {"label": NUMBER}
    found = rows_of(canonical(tmp_path, "e-CARE", features, train=rows))
    assert [(row["prompt"], row["right"]) for row in found] == [
        ("It rained.\nWhat was the cause of this?", "Clouds came."),
        ("It rained.\nWhat happened as a result?", "Streets got wet."),
    ]


def test_stories_of_a_norm_stay_together(tmp_path: Path) -> None:
    """No norm is trained on and evaluated; the norm is shown; the moral action has no fixed place."""
    names = ("norm", "situation", "intention", "moral_action", "immoral_action")
    rows = [{name: f"{name} {n}" for name in names} | {"norm": f"Rule {n % 40}."} for n in range(400)]
    made = canonical(tmp_path, "moral_stories/full", texts(*names), train=rows)
    train, held = rows_of(made), rows_of(made, "validation")
    norms = [{row["prompt"].partition("\n")[0] for row in split} for split in (train, held)]
    assert norms[0] and norms[1] and not norms[0] & norms[1]
    assert all(row["right"].startswith("moral_action") for row in (*train, *held))
    assert {row["label"] for row in train} == {0, 1}


def test_only_clear_references_are_kept(tmp_path: Path) -> None:
    """Four raters of five agree on one of the two; neither is no option, so such rows are left out."""
    base = {"swapped_sentence": "Al told Bo that [he] won.", "candidate0": "Al", "candidate1": "Bo"}
    answers = [("candidate_1", "4"), ("candidate_0", "5"), ("neither", "5"), ("candidate_0", "3")]
    rows = [base | {"correct_candidate": answer, "annotation_strength": votes} for answer, votes in answers]
    made = canonical(tmp_path, "knowref60k", texts(*rows[0]), train=rows)
    assert [row["right"] for row in rows_of(made)] == ["Bo", "Al"]
    assert made.unused["train"] == {"filtered": 2}
    assert rows_of(made)[0]["prompt"].endswith("[he] won.\nWho is meant by the pronoun in brackets?")


def test_each_query_has_its_own_passage(tmp_path: Path) -> None:
    """Of the two passages of a row the first answers the first query, the second the second."""
    rows = [{"q1": f"with {n}", "q2": f"without {n}", "doc1": f"has {n}", "doc2": f"lacks {n}"} for n in range(60)]
    first = rows_of(canonical(tmp_path, "nevir/q1", texts(*rows[0]), train=rows))
    second = rows_of(canonical(tmp_path, "nevir/q2", texts(*rows[0]), train=rows))
    assert {(row["prompt"][:5], row["right"][:4]) for row in first} == {("with ", "has ")}
    assert {(row["prompt"][:5], row["right"][:4]) for row in second} == {("witho", "lack")}
    assert {row["label"] for row in first} == {row["label"] for row in second} == {0, 1}


def test_safety_and_helpfulness_may_differ(tmp_path: Path) -> None:
    """The two tasks read the same replies and different verdicts."""
    rows = [{"prompt": "How?", "response_0": "No.", "response_1": "Thus.", "better_response_id": 1,
             "safer_response_id": 0}]  # fmt: skip
    features = texts("prompt", "response_0", "response_1") | dict.fromkeys(
        ("better_response_id", "safer_response_id"), NUMBER
    )
    for part, right in (("helpfulness", "Thus."), ("safety", "No.")):
        (row,) = rows_of(canonical(tmp_path, f"PKU-SafeRLHF/{part}", features, train=rows))
        assert row["right"] == right


def test_summaries_are_taken_out_of_their_records(tmp_path: Path) -> None:
    """Post and summaries are nested; a row without a post (a news article) is counted."""
    summaries = [{"text": "short", "policy": "a"}, {"text": "shorter", "policy": "b"}]
    rows = [{"info": {"post": post}, "summaries": summaries, "choice": 1} for post in ("A long post.", None)]
    features = {"info": {"post": TEXT}, "summaries": List({"text": TEXT, "policy": TEXT}), "choice": Value("int32")}
    made = canonical(tmp_path, "summarize_from_feedback/comparisons", features, train=rows)
    (row,) = rows_of(made)
    assert (row["prompt"], row["choices"], row["right"]) == ("A long post.", ["short", "shorter"], "shorter")
    assert made.unused["train"] == {"null_text": 1}


def test_goal_and_step_say_which_is_which(tmp_path: Path) -> None:
    """The three WikiHow tasks have the same columns; the prompt says what is given and what is asked for."""
    prompts = {
        "goal": "Step: Boil water.\nWhat is the goal?", "step": "Goal: Boil water.\nWhat is a step?",
        "order": "Goal: Boil water.\nWhich step comes first?",
    }  # fmt: skip
    for config, prompt in prompts.items():
        endings = [f"ending{n}" for n in range(2 if config == "order" else 4)]
        rows = [dict.fromkeys(endings, "no") | {"sent2": "Boil water.", "ending1": "yes", "label": 1}]
        features = texts("sent2", *endings) | {"label": NUMBER}
        (row,) = rows_of(canonical(tmp_path / config, f"goal-step-wikihow/{config}", features, train=rows))
        assert (row["prompt"], row["right"], len(row["choices"])) == (prompt, "yes", len(endings))


def test_relations_to_the_head_of_the_sentence(tmp_path: Path) -> None:
    """A contraction is called so, its parts carry relations; a relation that nobody listed is an error."""
    features = {"tokens": List(TEXT), "deprel": List(TEXT)}
    task_id = "universal_dependencies/en_ewt/deprel"
    rows = [{"tokens": ["It's", "It", "'s", "me"], "deprel": ["_", "nsubj", "cop", "root"]}]
    (row,) = rows_of(canonical(tmp_path / "a", task_id, features, train=rows))
    assert row["labels"] == ["contraction", "nsubj", "cop", "root"]
    rows = [{"tokens": ["me"], "deprel": ["rooot"]}]
    with pytest.raises(DataError, match="'rooot' is not listed"):
        canonical(tmp_path / "b", task_id, features, train=rows)


def test_offenses_that_most_raters_see(tmp_path: Path) -> None:
    """A label is given where at least half of the raters gave it; a comment may have none or several."""
    names = gradings._OFFENSES
    rows = [
        {"text": "Nice."} | dict.fromkeys(names, 0.0),
        {"text": "Fool!"} | dict.fromkeys(names, 0.0) | {"toxicity": 0.9, "insult": 0.5, "obscene": 0.4},
    ]
    features = {"text": TEXT} | dict.fromkeys(names, SCORE)
    found = rows_of(canonical(tmp_path, "civil_comments/multilabel", features, train=rows))
    assert [row["labels"] for row in found] == [[], ["toxic", "insult"]]
    found = rows_of(canonical(tmp_path, "civil_comments/toxicity_share", features, train=rows))
    assert [row["score"] for row in found] == pytest.approx([0.0, 0.9])


def test_scores_have_the_limits_of_their_source(tmp_path: Path) -> None:
    """Each scale is the source's own; a score beyond it is counted, not clipped."""
    kinds = {task.id: task.kind for task in gradings.TASKS if isinstance(task.kind, Regression)}
    limits = {task_id: (kind.low, kind.high) for task_id, kind in kinds.items()}
    assert limits == {
        "sts-companion": (0, 5), "UNLI": (0, 1), "clear/readability": (-4, 2), "civil_comments/toxicity_share": (0, 1),
        "scirepeval/search": (0, 14),
    }  # fmt: skip
    rows = [{"Excerpt": f"Passage {score}.", "BT_easiness": score} for score in (-3.7, 1.7, 7.0)]
    made = canonical(tmp_path, "clear/readability", {"Excerpt": TEXT, "BT_easiness": SCORE}, train=rows)
    assert [row["score"] for row in rows_of(made)] == pytest.approx([-3.7, 1.7])
    assert sum(made.unused["train"].values()) == 1
