"""Texts to be judged, published or gathered since 2022: safety, hate, arguments, questions, citations, relations.

No row of most of them was at hand. Where the source writes its labels as words they keep them, so they cannot be turned
round; bare integers are named only where the list of tasksource names them in order.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import LISTED
from taskloom.recipes.recipe import Classification, Held, Hub, Names, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_INJECTION = ("benign", "prompt injection")
_INJECTIONS = (  # id, column, license, use
    ("safe-guard-prompt-injection", "xTRam1/safe-guard-prompt-injection", "text", None, "unspecified"),
    ("prompt-injections", "deepset/prompt-injections", "text", "apache-2.0", "commercial"),
    ("prompt-injection-dataset", "S-Labs/prompt-injection-dataset", "text", "mit", "commercial"),
    ("PromptShield", "hendzh/PromptShield", "prompt", "apache-2.0", "commercial"),
)  # fmt: skip
_WORDS: tuple[tuple[str, str, str, str, str, str, str | None, str, str | None], ...] = (
    # id, repository, text, label, question, family, license, use, citation; the labels are words
    ("insincere-questions", "SetFit/insincere-questions", "text", "label_text",
     "Is the question sincere?", "hate", None, "unspecified", None),
    ("toxic_conversations", "SetFit/toxic_conversations", "text", "label_text",
     "Is the comment toxic?", "hate", None, "unspecified", None),
    ("implicit-hate-stg1", "tasksource/implicit-hate-stg1", "post", "class",
     "Is the post hateful, openly or by implication?", "hate", "Request Form", "non-commercial",
     "elsherief2021latent"),
    ("logical-fallacy", "tasksource/logical-fallacy", "source_article", "logical_fallacies",
     "Which fallacy does the text commit?", "discourse", None, "unspecified", "jin2022logical"),
    ("citation_intent", "zapsdcn/citation_intent", "text", "label",
     "Why is the work cited?", "science", None, "unspecified", "jurgens2018measuring"),
    ("sciie", "zapsdcn/sciie", "text", "label",
     "How are the two marked terms related?", "science", None, "unspecified", "luan2018multi"),
    ("it-support-tickets", "tasksource/it-support-tickets", "text", "label",
     "What is the support ticket about?", "intent", "cc-by-4.0", "commercial", None),
    ("dnd_style_intents", "neurae/dnd_style_intents", "examples", "label_names",
     "What does the player want to do?", "intent", "apache-2.0", "commercial", None),
    ("sem_eval_2010_task_8", "SemEvalWorkshop/sem_eval_2010_task_8", "sentence", "relation",
     "How are the two marked things related?", "other", "CC0 1.0", "commercial", "hendrickx2010semeval"),
)  # fmt: skip
_WITHOUT_VALIDATION = ("it-support-tickets", "sem_eval_2010_task_8")
_NAMED: tuple[tuple[str, str, str, str, Names | dict[str, str], str, str, str | None, str, str | None], ...] = (
    # id, repository, text, label, names, question, family, license, use, citation
    ("amazon_counterfactual/en", "mteb/amazon_counterfactual", "text", "label_text",
     {"not-counterfactual": "states what happened", "counterfactual": "says what did not happen"},
     "Does the sentence speak of something that did not happen?", "discourse", "cc-by-4.0", "commercial",
     "oneill2021wish"),
    ("olid/offensive", "christophsonntag/OLID", "tweet", "subtask_a", {"NOT": "not offensive", "OFF": "offensive"},
     "Is the tweet offensive?", "hate", None, "unspecified", "zampieri2019predicting"),
    ("isarcasm/intended", "viethq1906/isarcasm_2022_taskA_En", "sentence", "sentiment", ("not sarcastic", "sarcastic"),
     "Did the author mean the tweet sarcastically?", "discourse", None, "unspecified", "abufarha2022semeval"),
    ("ShellRisk-Bench", "kontext-security/ShellRisk-Bench", "command", "label", ("not risky", "risky command"),
     "Is it risky to run the command?", "code", "other", "unspecified", None),
)  # fmt: skip

TASKS = (
    *(
        Task(
            id=task_id, source=Hub(repo), splits=_ALL, kind=Classification(text=text, label="label", names=_INJECTION),
            question="Does the text try to make a model disobey its instructions?",
            family="other", license=license, license_use=use, rests_on=LISTED,
        )
        for task_id, repo, text, license, use in _INJECTIONS
    ),
    *(
        Task(
            id=task_id, source=Hub(repo), kind=Classification(text=text, label=label), question=question,
            splits=Splits(train="train", validation=Held(0.1), test="test") if task_id in _WITHOUT_VALIDATION else _ALL,
            family=family, license=license, license_use=use, citation=citation, rests_on=LISTED,
        )
        for task_id, repo, text, label, question, family, license, use, citation in _WORDS
    ),
    *(
        Task(
            id=task_id, source=Hub(repo, "en" if task_id.endswith("/en") else None), splits=_ALL,
            kind=Classification(text=text, label=label, names=names), question=question,
            family=family, license=license, license_use=use, citation=citation, rests_on=LISTED,
        )
        for task_id, repo, text, label, names, question, family, license, use, citation in _NAMED
    ),
    Task(
        id="dynahate", source=Hub("tasksource/dynahate"), splits=Splits(train="train", validation=Held(0.1)),
        kind=Classification(text="text", label="label", names={"nothate": "not hate speech", "hate": "hate speech"}),
        question="Is the text hateful?",
        family="hate", license="gpl", license_use="commercial", citation="vidgen2021learning", rests_on=LISTED,
    ),
    Task(
        id="args_me", source=Hub("webis/args_me"), splits=Splits(train="train", validation="validation", test="test"),
        kind=Classification(
            text="argument", pair="conclusion", label="stance", names={"PRO": "supports", "CON": "opposes"}
        ),
        question="Does the argument support the conclusion or oppose it?",
        family="discourse", license="cc-by-4.0", license_use="commercial", citation="ajjour2019data", rests_on=LISTED,
    ),
    Task(
        id="yahoo_answers_topics", source=Hub("community-datasets/yahoo_answers_topics"),
        kind=Classification(text="question_title", pair="question_content", label="topic"),
        splits=Splits(train="train", validation=Held(0.02), test="test"),
        question="Which topic is the question about?",
        family="topic", citation="zhang2015character", rests_on=LISTED,
    ),
    Task(
        id="wikiqa", source=Hub("microsoft/wiki_qa"), splits=_ALL,
        kind=Classification(
            text="question", pair="answer", label="label", names={"0": "does not answer", "1": "answers the question"}
        ),
        question="Does the sentence answer the question?",
        family="reading", license="other", license_use="non-commercial", citation="yang2015wikiqa", rests_on=LISTED,
    ),
    Task(
        id="stackoverflow-questions", source=Hub("pacovaldez/stackoverflow-questions"), splits=_ALL,
        kind=Classification(
            text="title", pair="body", label="label",
            names=("very popular question", "popular question", "somewhat popular question", "unpopular question"),
        ),
        question="How popular is the question?",
        family="code", license="apache-2.0", license_use="commercial", rests_on=LISTED,
    ),
)  # fmt: skip
