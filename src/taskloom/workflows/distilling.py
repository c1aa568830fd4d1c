"""`taskloom distil`: texts without labels and a zero-shot model -> a plain classifier of these labels.

The order of events: every text is labelled by the teacher, a part is put aside, the student learns from the rest, and
what it says of the part put aside is compared with what the teacher said. That is agreement with the teacher, not
accuracy: where the teacher is wrong, a perfect student is wrong with it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.errors import DataError
from taskloom.progress import Progress
from taskloom.recipes.recipe import Classification, Files, Splits, Task
from taskloom.workflows.tuning import check_output

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taskloom.adapting.distillation import Agreement
    from taskloom.adapting.finetuning import Settings, Tuned
    from taskloom.adapting.start import Start
    from taskloom.data.store import TaskStore
    from taskloom.inference.classifying import Question
    from taskloom.inference.label_sets import LabelSet
    from taskloom.inference.pieces import Long

    Array = NDArray[Any]

FEWEST_TEXTS = 50
"""Fewer say nothing about agreement: the interval of 5 texts is half of everything."""
ASIDE, MOST_ASIDE = 0.1, 2000
"""The share of texts that agreement is measured on, and that steps are chosen by, and the most of each."""
EVALUATIONS, PATIENCE = 6, 3
TEXTS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Request:
    """A teacher, how it is asked, and how the student learns; `name` is the student's task, distilled/NAME."""

    model: str
    labels: LabelSet
    question: Question
    long: Long = "truncate"
    name: str = "labels"
    seed: int = 0
    settings: Settings | None = None
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class Distilled:
    """The student's folder, its task, how far it agrees with its teacher, and what it cost."""

    folder: Path
    task: str
    agreement: Agreement
    told: dict[str, Any]


def settings_of(epochs: float | None = None) -> Settings:
    """Return how a student learns: three passes over the rows, in larger batches than a few labelled rows take."""
    from taskloom.adapting.finetuning import Settings

    found = replace(Settings(), epochs=3.0, batch_size=32, most_steps=2000)
    return found if epochs is None else replace(found, epochs=epochs, least_steps=1, most_steps=100_000)


def default_output(model: Path, name: str) -> Path:
    """Return the folder for a student: runs/MODEL-NAME."""
    base = model.parent if model.name == "model" else model
    return Path("runs") / f"{base.name}-{name}"


def distil(request: Request, texts: Sequence[str], *, output: Path, progress: Progress | None = None) -> Distilled:
    """Label texts with the teacher, train a student on them, measure their agreement, and write the model folder.

    Raises ModelError for a folder that is not empty or a teacher that cannot classify zero-shot, DataError for a single
    label or fewer than FEWEST_TEXTS different texts.
    """
    from taskloom.adapting.distillation import canonical_rows

    progress = progress or Progress()
    check_output(output)
    if len(set(request.labels.names)) < 2:
        raise DataError("A classifier needs two different labels at least. Type for example --labels sports,politics.")
    different = [text for text in dict.fromkeys(texts) if text.strip()]
    if len(different) < FEWEST_TEXTS:
        raise DataError(
            f"There are {len(different)} different texts. Give {FEWEST_TEXTS} at least, some hundreds if you can: a "
            "tenth is put aside to see how far student and teacher agree."
        )
    scores, seconds = _taught(request, different, progress)
    task = Task(
        id=f"distilled/{request.name}", source=Files((("train", ("texts",)),)), family="own",
        kind=Classification(text="text", label="label"),
        splits=Splits(train="train", validation="validation", test="test"),
    )  # fmt: skip
    rows = canonical_rows(task, request.labels.names, different, scores, _splits(len(different), request.seed))
    with tempfile.TemporaryDirectory() as cache:  # the texts are the user's: they do not stay in a shared cache
        student = _Student(request, task, rows, Path(cache), progress)
        return student.written(output, scores, {"teacher_seconds": round(seconds, 1), "texts": len(different)})


def _taught(request: Request, texts: Sequence[str], progress: Progress) -> tuple[Array, float]:
    """Return the teacher's scores (texts, labels) and the seconds that they took."""
    import numpy as np

    from taskloom.workflows.models import open_model

    teacher = open_model(Path(request.model), device=request.device, precision=request.precision)
    classifier = teacher.classifier(long=request.long)
    found, started = [], time.monotonic()
    with progress.bar("labelling", len(texts)) as bar:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            some = texts[start : start + TEXTS_AT_ONCE]
            scores = classifier.score(some, [request.labels] * len(some), request.question)
            found.append(scores.score.reshape(len(some), -1))
            done = start + len(some)
            bar.advance(len(some), note=f"{done / (time.monotonic() - started):.1f} texts/s")
    return np.concatenate(found), time.monotonic() - started


def _splits(texts: int, seed: int) -> dict[str, Array]:
    """Return places of texts: a tenth each to measure and to stop by, the rest to learn from."""
    import numpy as np

    aside = min(MOST_ASIDE, max(FEWEST_TEXTS // 5, round(texts * ASIDE)))
    order = np.random.default_rng(seed).permutation(texts)
    return {"train": order[2 * aside :], "validation": order[aside : 2 * aside], "test": order[:aside]}


class _Student:
    """The student in training and on its way to disk."""

    def __init__(self, request: Request, task: Task, rows: Any, cache: Path, progress: Progress) -> None:
        from taskloom.adapting.start import open_start
        from taskloom.data.store import build

        self.request, self.task, self.progress = request, task, progress
        self.rows = rows
        self.start: Start = open_start(request.model, device=request.device, precision="auto", length=0)
        self.store: TaskStore = build(
            rows,
            self.start.tokenizer,
            cache=cache,
            max_length=self.start.max_length,
            max_rows=len(rows.splits["train"]),
        )
        self.settings = request.settings or settings_of()

    def written(self, output: Path, scores: Array, told: dict[str, Any]) -> Distilled:
        """Train, compare with the teacher's `scores` (all texts, labels), and write the folder."""
        from taskloom.adapting.distillation import agreement
        from taskloom.adapting.finetuning import answers_of

        started = time.monotonic()
        tuned = self._trained()
        answers = answers_of(tuned.model, self.task, self.store, "test", how=self.start.answering())
        found = agreement(scores[answers.row], answers.scores.argmax(1))
        told |= {
            "train_rows": len(self.store.splits["train"]), "steps": tuned.steps, "step": tuned.step,
            "student_seconds": round(time.monotonic() - started, 1), "agreement": found.to_json(),
        }  # fmt: skip
        self._save(output, tuned, told)
        return Distilled(output, self.task.id, found, told)

    def _trained(self) -> Tuned:
        import numpy as np

        from taskloom.adapting.finetuning import fine_score, fine_tune

        start, task, store = self.start, self.task, self.store
        every = np.arange(len(store.splits["validation"]))
        places = np.arange(len(store.splits["train"]))
        with self.progress.bar("training the student", self.settings.steps(len(places))) as bar:
            return fine_tune(
                start, task, store, places, settings=self.settings, seed=self.request.seed,
                max_length=start.max_length, evaluations=EVALUATIONS, patience=PATIENCE, tell=bar.advance,
                evaluate=lambda model: fine_score(model, task, store, "validation", how=start.how, places=every),
            )  # fmt: skip

    def _save(self, output: Path, tuned: Tuned, told: dict[str, Any]) -> None:
        from taskloom.adapting.finetuning import report_on
        from taskloom.evaluation.report import RunReport, summarize
        from taskloom.reporting.distilled import origin_section
        from taskloom.reporting.one_task import pages
        from taskloom.reporting.task_list import TrainedTask
        from taskloom.training.plan import library_versions

        request, start = self.request, self.start
        scored = report_on(tuned.model, self.task, self.store, "test", how=start.how, places=None, seed=request.seed)
        tasks = {} if scored is None else {self.task.versioned: {"test": scored}}
        settings = {name: value for name, value in asdict(self.settings).items() if not isinstance(value, str)}
        report = RunReport(
            run=output.name, seed=request.seed, step=tuned.step, encoder=request.model, libraries=library_versions(),
            data_fingerprint=self.store.fingerprint, tasks=tasks, aggregate=summarize(tasks),
            training={
                "teacher": request.model, "way": request.question.way, "templates": list(request.question.templates),
                "labels": dict(zip(request.labels.names, request.labels.said, strict=True)), "long": request.long,
                "settings": settings, **told,
            },
        )  # fmt: skip
        rows = {split: len(table) for split, table in self.rows.splits.items()}
        tuned.model.save(
            output, tokenizer_folder=start.folder, max_length=start.max_length, encoder_name=request.model,
            training=start.lineage.after([self.task], ()).to_json(),
            files=pages(
                TrainedTask(self.task, self.store.labels, rows), report, max_length=start.max_length,
                origin=origin_section(report.training), folder=str(output), before=start.lineage.besides([self.task]),
            ),
        )  # fmt: skip


def lines(done: Distilled) -> list[str]:
    """Return what is printed at the end."""
    found = done.agreement
    low, high = found.interval
    told = [
        f"student and teacher agree on {found.agreed} of {found.rows} texts put aside: {found.share:.3f}, 95 % "
        f"interval {low:.3f} to {high:.3f}; always the most frequent label: {found.most_frequent / found.rows:.3f}"
    ]
    for band in found.bands:
        if band.rows:
            told.append(
                f"  teacher's score {band.low:.1f} to {band.high:.1f}: {band.rows} texts, "
                f"{band.disagreed / band.rows:.1%} disagreement"
            )
    return [*told, f"model:      {done.folder}, task {done.task}"]
