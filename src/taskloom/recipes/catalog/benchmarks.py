"""Benchmarks: never trained on unless asked for by id. BIG-bench, MMLU, BLiMP, TruthfulQA, and preference data.

All carry role "evaluation", but for the preference pairs of hh-rlhf. Where the right answer stands first in every row,
or nearly so, the options are shuffled by task and row. The labels of BIG-bench are its scores: a row counts only when
exactly one option has the highest. BLiMP keeps the 22 paradigms on which GPT-2 lies ten points or more below people.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import MAPPING
from taskloom.recipes.expressions import Constant, Function, Listed, Nested, Shuffled, Sole
from taskloom.recipes.recipe import Defect, Hub, MultipleChoice, Splits, Task

_BIG_BENCH = {
    "code": (
        "code_line_description", "cs_algorithms",
    ),
    "commonsense": (
        "anachronisms", "causal_judgment", "cause_and_effect", "color", "conceptual_combinations", "crass_ai",
        "date_understanding", "disambiguation_qa", "emoji_movie", "empirical_judgments", "english_proverbs",
        "fantasy_reasoning", "figure_of_speech_detection", "general_knowledge", "goal_step_wikihow", "hindu_knowledge",
        "human_organs_senses", "identify_odd_metaphor", "implicit_relations", "known_unknowns", "metaphor_boolean",
        "metaphor_understanding", "misconceptions", "movie_recommendation", "novel_concepts", "odd_one_out",
        "phrase_relatedness", "physical_intuition", "riddle_sense", "ruin_names", "similarities_abstraction",
        "social_iqa", "sports_understanding", "strategyqa", "symbol_interpretation", "timedial", "winowhy",
    ),
    "discourse": (
        "crash_blossom", "dark_humor_detection", "discourse_marker_prediction", "implicatures", "irony_identification",
        "movie_dialog_same_or_different", "play_dialog_same_or_different", "snarks", "social_support",
    ),
    "emotion": (
        "emojis_emotion_prediction", "suicide_risk",
    ),
    "ethics": (
        "moral_permissibility", "simple_ethical_questions",
    ),
    "hate": (
        "bbq_lite_json",
    ),
    "intent": (
        "intent_recognition",
    ),
    "math": (
        "arithmetic", "elementary_math_qa", "geometric_shapes", "identify_math_theorems", "intersect_geometry",
        "key_value_maps", "mathematical_induction", "navigate", "penguins_in_a_table", "unit_interpretation",
    ),
    "nli": (
        "analytic_entailment", "entailed_polarity", "epistemic_reasoning", "formal_fallacies_syllogisms_negation",
        "international_phonetic_alphabet_nli", "logical_args", "logical_fallacy_detection", "presuppositions_as_nli",
        "sentence_ambiguity", "vitaminc_fact_verification",
    ),
    "other": (
        "checkmate_in_one", "cifar10_classification", "evaluating_information_essentiality", "fact_checker",
        "logic_grid_puzzle", "logical_deduction", "logical_sequence", "mnist_ascii", "reasoning_about_colored_objects",
        "temporal_sequences", "tracking_shuffled_objects", "undo_permutation",
    ),
    "preference": (
        "hhh_alignment",
    ),
    "probing": (
        "analogical_similarity", "authorship_verification", "dyck_languages", "hyperbaton", "nonsense_words_grammar",
        "real_or_fake_text", "salient_translation_error_detection",
    ),
    "reading": (
        "abstract_narrative_understanding", "contextual_parametric_knowledge_conflicts", "gre_reading_comprehension",
        "question_selection", "strange_stories", "understanding_fables",
    ),
    "science": (
        "physics",
    ),
}  # fmt: skip

_BIG_BENCH_DEFECTS = {
    "intersect_geometry": Defect("low_value", "200,000 nearly identical rows"),
    "vitaminc_fact_verification": Defect("duplicate", "the same source as vitaminc"),
    "social_iqa": Defect("duplicate", "the same source as social_i_qa"),
    "cifar10_classification": Defect("unsound", "the input is an encoded image: nothing to learn from text"),
    "color": Defect("low_value", "a rating-like answer from color codes, of little use for language"),
    "mnist_ascii": Defect("low_value", "ASCII pictures: hundreds of tokens a row, far from language"),
}

_MMLU = {
    "ethics": (
        "business_ethics", "moral_disputes", "moral_scenarios",
    ),
    "math": (
        "abstract_algebra", "college_mathematics", "econometrics", "elementary_mathematics", "formal_logic",
        "high_school_mathematics", "high_school_statistics",
    ),
    "other": (
        "global_facts", "high_school_geography", "high_school_government_and_politics", "high_school_macroeconomics",
        "high_school_microeconomics", "high_school_psychology", "human_sexuality", "international_law", "jurisprudence",
        "logical_fallacies", "management", "marketing", "miscellaneous", "philosophy", "professional_accounting",
        "professional_law", "professional_psychology", "public_relations", "security_studies", "sociology",
        "us_foreign_policy", "world_religions",
    ),
    "reading": (
        "high_school_european_history", "high_school_us_history", "high_school_world_history", "prehistory",
    ),
    "science": (
        "anatomy", "astronomy", "clinical_knowledge", "college_biology", "college_chemistry",
        "college_computer_science", "college_medicine", "college_physics", "computer_security", "conceptual_physics",
        "electrical_engineering", "high_school_biology", "high_school_chemistry", "high_school_computer_science",
        "high_school_physics", "human_aging", "machine_learning", "medical_genetics", "nutrition",
        "professional_medicine", "virology",
    ),
}  # fmt: skip

_BLIMP = (
    "animate_subject_passive", "complex_NP_island", "coordinate_structure_constraint_complex_left_branch",
    "coordinate_structure_constraint_object_extraction", "drop_argument", "existential_there_quantifiers_2",
    "inchoative", "left_branch_island_echo_question", "matrix_question_npi_licensor_present", "npi_present_1",
    "npi_present_2", "principle_A_c_command", "principle_A_domain_2", "principle_A_reconstruction",
    "sentential_negation_npi_scope", "sentential_subject_island", "superlative_quantifiers_1", "tough_vs_raising_1",
    "wh_questions_object_gap", "wh_questions_subject_gap_long_distance", "wh_vs_that_with_gap",
    "wh_vs_that_with_gap_long_distance",
)  # fmt: skip

_WRITTEN_EVALS = (
    "persona.agreeableness", "persona.conscientiousness", "persona.extraversion", "persona.interest-in-science",
    "persona.neuroticism", "persona.openness", "persona.politically-liberal", "persona.risk-averse",
    "human.coordinate-itself", "human.survival-instinct", "lm.myopic-reward", "lm.one-box-tendency",
)  # fmt: skip

_WRITTEN_EVAL = MultipleChoice(
    prompt="question", label=Constant(0),
    choices=Shuffled(Listed("answer_matching_behavior", "answer_not_matching_behavior")),
)  # fmt: skip

_PREFERENCE = MultipleChoice(
    prompt=Function("dialogue", ("chosen", "rejected")), label=Constant(0),
    choices=Shuffled(Function("replies", ("chosen", "rejected"))),
)  # fmt: skip

TASKS = (
    *(
        Task(
            id=f"bigbench/{config}", role="evaluation", source=Hub("tasksource/bigbench", config),
            kind=MultipleChoice(
                prompt="inputs", choices=Shuffled("multiple_choice_targets"), label=Sole("multiple_choice_scores")
            ),
            splits=Splits(train="train", validation="validation"), defect=_BIG_BENCH_DEFECTS.get(config),
            question=f"Which answer is right? (BIG-bench, {config.replace('_', ' ')})",
            family=family, license="apache-2.0", license_use="commercial", citation="srivastava2022bigbench",
        )
        for family, configs in _BIG_BENCH.items()
        for config in configs
    ),
    *(
        Task(
            id=f"hendrycks_test/{config}", role="evaluation", source=Hub("tasksource/mmlu", config),
            kind=MultipleChoice(prompt="question", choices="choices", label="answer"),
            splits=Splits(train="validation", validation="dev", test="test"),
            question=f"Which answer to the exam question is right? ({config.replace('_', ' ')})",
            family=family, license="mit", license_use="commercial", citation="hendrycks2021mmlu",
        )
        for family, configs in _MMLU.items()
        for config in configs
    ),
    *(
        Task(
            id=f"blimp/{config}/hard", role="evaluation", source=Hub("nyu-mll/blimp", config),
            kind=MultipleChoice(
                prompt=Constant("Which sentence is grammatical?"), label=Constant(0),
                choices=Shuffled(Listed("sentence_good", "sentence_bad")),
            ),
            splits=Splits(test="train"), question="Which of the two sentences is grammatical?",
            family="probing", citation="warstadt2020blimp",
        )
        for config in _BLIMP
    ),
    Task(
        id="truthful_qa/multiple_choice", role="evaluation", source=Hub("truthfulqa/truthful_qa", "multiple_choice"),
        kind=MultipleChoice(
            prompt="question", choices=Shuffled(Nested("mc1_targets", "choices")),
            label=Sole(Nested("mc1_targets", "labels")),
        ),
        splits=Splits(validation="validation"), question="Which answer is true?",
        family="other", license="apache-2.0", license_use="commercial", citation="lin2022truthfulqa",
    ),
    Task(
        id="model-written-evals", role="evaluation", source=Hub("Anthropic/model-written-evals"), kind=_WRITTEN_EVAL,
        splits=Splits(test="train"), question="Which answer matches the behavior that the question probes?",
        family="preference", license_use="commercial", citation="perez2022discovering", rests_on=MAPPING,
    ),
    *(
        Task(  # the match is no right answer, and often the undesired one
            id=f"model-written-evals/{config}", role="evaluation",
            source=Hub("Anthropic/model-written-evals", config), kind=_WRITTEN_EVAL, splits=Splits(test="train"),
            question=f"Which answer matches the behavior that the question probes? ({config})",
            family="preference", license="cc-by-4.0", license_use="commercial", citation="perez2022discovering",
        )
        for config in _WRITTEN_EVALS
    ),
    Task(
        id="hh-rlhf", source=Hub("tasksource/hh-rlhf", "helpful-base"), kind=_PREFERENCE,
        splits=Splits(train="train", test="test"), question="Which reply is better?",
        family="preference", license_use="commercial", citation="bai2022training",
    ),
    Task(
        id="hh-rlhf/harmless-base", source=Hub("tasksource/hh-rlhf", "harmless-base"), kind=_PREFERENCE,
        splits=Splits(train="train", test="test"), question="Which reply is less harmful?",
        family="preference", license_use="commercial", citation="bai2022training",
    ),
    Task(
        id="code_x_glue_cc_code_refinement/medium", source=Hub("google/code_x_glue_cc_code_refinement", "medium"),
        kind=MultipleChoice(
            prompt=Constant("Which version of the function contains the bug?"), label=Constant(0),
            choices=Shuffled(Listed("buggy", "fixed")),
        ),
        splits=Splits(train="train", validation="validation", test="test"),
        defect=Defect("unsound", "made for repair, not for choosing: there is no label to learn"),
        question="Which version of the function contains the bug?",
        family="code", license="c-uda", citation="tufano2019empirical",
    ),
)  # fmt: skip
