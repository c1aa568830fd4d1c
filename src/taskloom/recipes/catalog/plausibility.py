"""Beyond the 420: what is meant, what follows, what somebody would do, and which answer people prefer.

Where the right option stands first in each row its place is drawn. NevIR's rows hold two queries that differ by a
negation and one passage for each: a task a query, so that a row stays a row.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import HUB_PAGE, LISTED
from taskloom.recipes.expressions import Cases, Code, Constant, Lines, Listed, Nested, Shuffled, Template
from taskloom.recipes.recipe import Held, Hub, MultipleChoice, Splits, Task, Where

_ALL = Splits(train="train", validation="validation", test="test")
_READY = MultipleChoice(prompt="inputs", choices="choices_list", label="labels")
_CAUSE_OR_EFFECT = Cases("question", {"cause": "What was the cause of this?", "effect": "What happened as a result?"})
_FOUR_ENDINGS = Listed("ending0", "ending1", "ending2", "ending3")
_WIKIHOW = (  # config, prompt, choices, question
    ("goal", Template("Step: {sent2}\nWhat is the goal?"), _FOUR_ENDINGS, "Which goal does the step lead to?"),
    ("step", Template("Goal: {sent2}\nWhat is a step?"), _FOUR_ENDINGS, "Which step leads to the goal?"),
    ("order", Template("Goal: {sent2}\nWhich step comes first?"), Listed("ending0", "ending1"), "Which comes first?"),
)
_SAFETY = (("helpfulness", "better_response_id", "more helpful"), ("safety", "safer_response_id", "safer"))

TASKS = (
    Task(
        id="fig-qa", source=Hub("nightingal3/fig-qa"),
        kind=MultipleChoice(prompt="startphrase", choices=Listed("ending1", "ending2"), label="labels"),
        splits=Splits(train="train", validation="validation"),  # the labels of the test split are hidden
        question="What does the figure of speech mean?",
        family="commonsense", license="mit", license_use="commercial", citation="liu2022figqa", rests_on=LISTED,
    ),
    Task(
        id="e-CARE", source=Hub("12ml/e-CARE"), splits=Splits(train="train", validation="validation"),
        kind=MultipleChoice(
            prompt=Lines("premise", _CAUSE_OR_EFFECT), choices=Listed("choice1", "choice2"), label="label"
        ),
        question="Which is the cause or the effect of what is told?",
        family="commonsense", license="bsd-2-clause", license_use="commercial", citation="du2022ecare",
        rests_on=LISTED,
    ),
    Task(
        id="cycic_multiplechoice", source=Hub("tasksource/cycic_multiplechoice"), splits=_ALL,
        kind=MultipleChoice(
            prompt="question", choices=Listed(*(f"answer_option{place}" for place in range(5))),
            label="correct_answer",
        ),
        question="Which answer is right, going by common sense?",
        family="commonsense", license="apache-2.0", license_use="commercial", citation="cycorp2020cycic",
        rests_on=LISTED,
    ),
    Task(
        id="arct", source=Hub("tasksource/arct"), splits=_ALL,
        kind=MultipleChoice(
            prompt=Template("Reason: {reason}\nClaim: {claim}\nWhy does the claim follow from the reason?"),
            choices=Listed("warrant0", "warrant1"), label="correctLabelW0orW1",
        ),
        question="Which assumption makes the claim follow from the reason?",
        family="discourse", license="apache-2.0", license_use="commercial", citation="habernal2018arct",
        rests_on=LISTED,
    ),
    Task(  # the copy has train rows alone; twelve thousand stories tell of fewer norms
        id="moral_stories/full", source=Hub("LabHC/moral_stories"),
        kind=MultipleChoice(
            prompt=Lines("norm", "situation", "intention", Constant("What is the moral thing to do?")),
            choices=Shuffled(Listed("moral_action", "immoral_action")), label=Constant(0),
        ),
        splits=Splits(train="train", validation=Held(0.1, by="norm")),
        question="Which action keeps to the norm?",
        family="ethics", license="mit", license_use="commercial", citation="emelin2021moral", rests_on=HUB_PAGE,
    ),
    *(
        Task(
            id=f"goal-step-wikihow/{config}", source=Hub("tasksource/goal-step-wikihow", config), splits=_ALL,
            kind=MultipleChoice(prompt=prompt, choices=choices, label="label"), question=question,
            family="commonsense", license="mit", license_use="commercial", citation="zhang2020reasoning",
            rests_on=LISTED,
        )
        for config, prompt, choices, question in _WIKIHOW
    ),
    Task(  # four of five raters agree; where the pronoun means neither, no option is right
        id="knowref60k", source=Hub("coref-data/knowref_60k_raw"), splits=_ALL,
        kind=MultipleChoice(
            prompt=Lines("swapped_sentence", Constant("Who is meant by the pronoun in brackets?")),
            choices=Listed("candidate0", "candidate1"),
            label=Code("correct_candidate", {"candidate_0": 0, "candidate_1": 1}),
        ),
        where=(Where("correct_candidate", ("candidate_0", "candidate_1")), Where("annotation_strength", ("4", "5"))),
        question="Who is meant by the pronoun in brackets?",
        family="commonsense", license="cc-by-4.0", license_use="commercial", citation="emami2020analysis",
        rests_on=LISTED,
    ),
    Task(
        id="semcor", source=Hub("tasksource/semcor"), splits=_ALL, kind=_READY,
        question="Which definition fits the marked word?", family="probing", citation="miller1993semantic",
        rests_on=LISTED,
    ),
    *(
        Task(
            id=f"nevir/q{number}", source=Hub("orionweller/NevIR"), splits=_ALL,
            kind=MultipleChoice(
                prompt=f"q{number}", choices=Shuffled(Listed(f"doc{number}", f"doc{3 - number}")), label=Constant(0)
            ),
            question="Which passage answers the query? (they differ by a negation)",
            family="probing", citation="weller2024nevir", rests_on=LISTED,
        )
        for number in (1, 2)
    ),
    Task(
        id="ukpconvarg/convincingness", source=Hub("tasksource/ukpconvarg"), splits=_ALL, kind=_READY,
        question="Which argument convinces more?",
        family="preference", license="cc-by-4.0", license_use="commercial", citation="habernal2016argument",
        rests_on=LISTED,
    ),
    *(
        Task(
            id=f"PKU-SafeRLHF/{part}", source=Hub("PKU-Alignment/PKU-SafeRLHF"),
            kind=MultipleChoice(prompt="prompt", choices=Listed("response_0", "response_1"), label=label),
            splits=Splits(train="train", test="test"), question=f"Which reply is {better}?",
            family="preference", license="cc-by-nc-4.0", license_use="non-commercial", citation="ji2024pku",
            rests_on=LISTED,
        )
        for part, label, better in _SAFETY
    ),
    Task(
        id="summarize_from_feedback/comparisons", source=Hub("vwxyzjn/summarize_from_feedback_oai_preprocessing"),
        kind=MultipleChoice(
            prompt=Nested("info", "post"), choices=Nested("summaries", "text"), label="choice"
        ),
        splits=Splits(train="train", validation="validation"), question="Which summary of the post is better?",
        family="preference", license_use="non-commercial", citation="stiennon2020learning", rests_on=LISTED,
    ),
)  # fmt: skip
