"""Choosing by common sense: causes and effects, continuations, what a pronoun means, why a statement is odd.

All options of a row are kept, in the source's order. A prompt ends with what is asked; where the source asks nothing
and the choice would be unclear without it (the odd one of two statements), the question is a constant line.
"""

from __future__ import annotations

from taskloom.recipes.expressions import (
    Cases,
    Code,
    Constant,
    Function,
    IndexIn,
    Lines,
    Listed,
    Nested,
    OneBased,
    PrefixEach,
    Template,
)
from taskloom.recipes.recipe import Defect, Held, Hub, MultipleChoice, Splits, Task

_COPA = MultipleChoice(
    prompt=Lines(
        "premise", Cases("question", {"cause": "What was the cause of this?", "effect": "What happened as a result?"})
    ),
    choices=Listed("choice1", "choice2"), label="label",
)  # fmt: skip
_CODAH = MultipleChoice(prompt="question_propmt", choices="candidate_answers", label="correct_answer_idx")
_WHY = Constant("Why does this not make sense?")
_PRONOUN_QUESTION = "Whom or what does the pronoun refer to?"

TASKS = (
    Task(
        id="super_glue/copa", source=Hub("aps/super_glue", "copa"), kind=_COPA,
        splits=Splits(train="train", validation="validation"),
        question="Which option is the more likely cause or effect (as asked)?",
        family="commonsense", license="other", citation="roemmele2011copa",
    ),
    Task(  # the 500 premises of super_glue/copa, train and validation, and 500 mirrored ones
        id="balanced-copa", source=Hub("pkavumba/balanced-copa"), kind=_COPA,
        splits=Splits(train="train", test="test"),
        question="Which option is the more likely cause or effect (as asked)?",
        family="commonsense", license="cc-by-4.0", license_use="commercial", citation="kavumba2019balanced",
    ),
    Task(
        id="codah/codah", source=Hub("jaredfern/codah", "codah"), kind=_CODAH,
        splits=Splits(train="train", validation=Held(0.1, by="question_propmt")),
        question="Which continuation is most plausible?",
        family="commonsense", license="odc-by", license_use="commercial", citation="chen2019codah",
    ),
    Task(
        id="codah/fold_0", source=Hub("jaredfern/codah", "fold_0"), kind=_CODAH,
        splits=Splits(train="train", validation="validation", test="test"),
        defect=Defect("duplicate", "the rows of codah/codah, cut into one of five folds"),
        question="Which continuation is most plausible?",
        family="commonsense", license="odc-by", license_use="commercial", citation="chen2019codah",
    ),
    Task(
        id="commonsense_qa", source=Hub("tau/commonsense_qa"),
        kind=MultipleChoice(
            prompt="question", choices=Nested("choices", "text"),
            label=IndexIn("answerKey", Nested("choices", "label")),
        ),
        splits=Splits(train="train", validation="validation"),
        question="Which answer is right by common sense?",
        family="commonsense", license="mit", license_use="commercial", citation="talmor2019commonsenseqa",
    ),
    Task(
        id="cos_e/v1.0", source=Hub("Salesforce/cos_e", "v1.0"),
        kind=MultipleChoice(prompt="question", choices="choices", label=IndexIn("answer", "choices")),
        splits=Splits(train="train", validation="validation"),
        defect=Defect("duplicate", "8,092 of its 8,560 questions are in commonsense_qa, with more options"),
        question="Which answer is right by common sense?",
        family="commonsense", citation="rajani2019explain",
    ),
    Task(
        id="social_i_qa", source=Hub("tasksource/social_i_qa"),
        kind=MultipleChoice(
            prompt=Lines("context", "question"), choices=Listed("answerA", "answerB", "answerC"),
            label=OneBased("label"),
        ),
        splits=Splits(train="train", validation="validation"),
        question="Which answer fits the situation?",
        family="commonsense", license_use="commercial", citation="sap2019socialiqa",
    ),
    Task(
        id="cosmos_qa", source=Hub("Samsoup/cosmos_qa"),
        kind=MultipleChoice(
            prompt=Lines("context", "question"), choices=Listed("answer0", "answer1", "answer2", "answer3"),
            label="label",
        ),
        splits=Splits(train="train", validation="validation"),
        question="Which answer can be read between the lines of the text?",
        family="reading", license="cc-by-4.0", license_use="commercial", citation="huang2019cosmos",
    ),
    Task(
        id="winogrande/winogrande_xl", source=Hub("allenai/winogrande", "winogrande_xl"),
        kind=MultipleChoice(prompt="sentence", choices=Listed("option1", "option2"), label=OneBased("answer")),
        splits=Splits(train="train", validation="validation"),
        question="Which option fits the blank (_)?",
        family="commonsense", citation="sakaguchi2020winogrande",
    ),
    Task(
        id="definite_pronoun_resolution", source=Hub("community-datasets/definite_pronoun_resolution"),
        kind=MultipleChoice(
            prompt=Template("{sentence}\nWhat does \"{pronoun}\" refer to?"), choices="candidates", label="label"
        ),
        splits=Splits(train="train", test="test"), question=_PRONOUN_QUESTION,
        family="commonsense", citation="rahman2012resolving",
    ),
    Task(
        id="winograd_wsc/wsc273", role="evaluation", source=Hub("ErnestSDavis/winograd_wsc", "wsc273"),
        kind=MultipleChoice(
            prompt=Lines(
                Function("marked_word", ("text", "pronoun", "pronoun_loc")),
                Template("What does \"*{pronoun}*\" refer to?"),
            ),
            choices="options", label="label",
        ),
        splits=Splits(test="test"), question=_PRONOUN_QUESTION,
        family="commonsense", license="cc-by-4.0", license_use="commercial", citation="levesque2012wsc",
    ),
    Task(
        id="winogender/all", role="evaluation", source=Hub("oskarvanderwal/winogender", "all"),
        kind=MultipleChoice(
            prompt=Template("{sentence}\nWhom does \"{pronoun}\" refer to?"),
            choices=Listed("occupation", "participant"), label="label",
        ),
        splits=Splits(test="test"), question=_PRONOUN_QUESTION,
        family="commonsense", license="mit", license_use="commercial", citation="rudinger2018winogender",
    ),
    Task(
        id="piqa", source=Hub("baber/piqa"),
        kind=MultipleChoice(prompt="goal", choices=Listed("sol1", "sol2"), label="label"),
        splits=Splits(train="train", validation="validation"),
        question="Which way of reaching the goal makes more sense?",
        family="commonsense", citation="bisk2020piqa",
    ),
    Task(
        id="art", source=Hub("allenai/art"),
        kind=MultipleChoice(
            prompt=Template("Beginning: {observation_1}\nEnding: {observation_2}\nWhat happened in between?"),
            choices=Listed("hypothesis_1", "hypothesis_2"), label=OneBased("label"),
        ),
        splits=Splits(train="train", validation="validation"),
        question="Which event best explains what happened between beginning and ending?",
        family="commonsense", citation="bhagavatula2020abductive",
    ),
    Task(
        id="hellaswag", source=Hub("Rowan/hellaswag"),
        kind=MultipleChoice(
            prompt=Function("without_markers", ("ctx_a",)), choices=Function("endings", ("ctx_b", "endings")),
            label=Code("label", {"0": 0, "1": 1, "2": 2, "3": 3}),
        ),
        splits=Splits(train="train", validation="validation"),
        question="Which continuation is most plausible?",
        family="commonsense", citation="zellers2019hellaswag",
    ),
    Task(
        id="swag", source=Hub("allenai/swag", "regular"),
        kind=MultipleChoice(
            prompt="sent1", choices=PrefixEach("sent2", Listed("ending0", "ending1", "ending2", "ending3")),
            label="label",
        ),
        splits=Splits(train="train", validation="validation"),
        question="Which ending is most plausible?",
        family="commonsense", citation="zellers2018swag",
    ),
    Task(
        id="discosense", source=Hub("tasksource/discosense"),
        kind=MultipleChoice(
            prompt=Lines("context", "marker"), choices=Listed("option_0", "option_1", "option_2", "option_3"),
            label="label",
        ),
        splits=Splits(train="train", validation=Held(0.1, by="context"), test="test"),
        question="Which continuation fits the context and the given connective?",
        family="discourse", license_use="commercial", citation="bhargava2022discosense",
    ),
    Task(
        id="mutual", source=Hub("tasksource/mutual"),
        kind=MultipleChoice(
            prompt="article", choices="options", label=Code("answers", {"A": 0, "B": 1, "C": 2, "D": 3})
        ),
        splits=Splits(train="train", validation="validation"),
        question="Which reply is the right next turn of the dialogue?",
        family="discourse", citation="cui2020mutual",
    ),
    Task(
        id="comve", source=Hub("tasksource/comve"),
        kind=MultipleChoice(prompt=Lines("inputs", _WHY), choices="choices_list", label="labels"),
        splits=Splits(train="train", validation="validation", test="test"),
        question="Which reason says why the statement goes against common sense?",
        family="commonsense", license="cc-by-sa-4.0", license_use="commercial", citation="wang2020semeval",
    ),
    Task(  # by="id": the second task shows which of the two statements is false
        id="sen-making/1", source=Hub("tasksource/sen-making"),
        kind=MultipleChoice(
            prompt=Constant("Which statement goes against common sense?"), choices=Listed("sentence0", "sentence1"),
            label="false",
        ),
        splits=Splits(train="train", validation=Held(0.1, by="id")),
        question="Which statement goes against common sense?",
        family="commonsense", citation="wang2019sense",
    ),
    Task(
        id="sen-making/2", source=Hub("tasksource/sen-making"),
        kind=MultipleChoice(
            prompt=Lines(Function("picked", ("false", "sentence0", "sentence1")), _WHY), choices=Listed("A", "B", "C"),
            label=Code("reason", {"A": 0, "B": 1, "C": 2}),
        ),
        splits=Splits(train="train", validation=Held(0.1, by="id")),
        question="Which reason says why the statement goes against common sense?",
        family="commonsense", citation="wang2019sense",
    ),
)  # fmt: skip
