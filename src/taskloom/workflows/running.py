"""Prepare, plan, train, evaluate, write: the order of a run, once for the command line and for Python."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from taskloom.config import RunConfig
from taskloom.errors import ConfigError, ModelError
from taskloom.progress import Progress
from taskloom.workflows.preparing import Preparation, choose, kept_away, prepare

if TYPE_CHECKING:
    from taskloom.evaluation.report import RunReport
    from taskloom.training.run_folder import RunFolder
    from taskloom.training.trainer import Trainer


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its results."""

    folder: Path
    results: RunReport

    @property
    def model(self) -> Path:
        """The folder of the trained model."""
        return self.folder / "model"


def train(config: RunConfig, *, progress: Progress | None = None) -> Run:
    """Prepare, train, evaluate and write the run folder; a stopped run goes on, a finished one is returned as it is."""
    from taskloom.evaluation.report import read_report
    from taskloom.training.plan import make_plan
    from taskloom.training.ranks import joined_ranks
    from taskloom.training.run_folder import open_run
    from taskloom.training.trainer import start_trainer
    from taskloom.training.trial import within_minutes

    with joined_ranks(config.training.device) as ranks, open_run(config, writes=ranks.writes) as run:
        progress = progress if progress and ranks.writes else Progress()
        with ranks.one_by_one():
            run.compare_config(config)
            preparation = prepare(config, progress=progress)
        pairs = list(preparation.trainable())
        plan = make_plan(config, [task for task, _ in pairs], [store for _, store in pairs], preparation.left_out_rows)
        if config.training.minutes:
            steps = run.planned_steps()
            plan = replace(plan, steps=steps) if steps else within_minutes(config, plan, ranks=ranks, progress=progress)
        run.keep_or_compare_plan(plan.to_json(config=config))
        results = run.file("results.json")
        if results.exists() and run.model.is_dir() and _is_finished(read_report(results), run, config, plan.steps):
            progress.say(f"{run.path} is finished: {plan.steps} steps. Type `name=NEW_NAME` for a new run.")
            return Run(run.path, read_report(results))
        trainer = start_trainer(config, run, plan, progress=progress, ranks=ranks)
        run.keep_config(config)
        trainer.train()
        return Run(run.path, _write_results(trainer, preparation))


def _is_finished(report: RunReport, run: RunFolder, config: RunConfig, steps: int) -> bool:
    """Tell whether nothing is left to do; raises ConfigError when the run has gone beyond what is asked for."""
    if report.step > steps:
        raise ConfigError(
            f"{run.path} is finished with {report.step} steps, and {steps} are asked for. Its model, results.json and "
            f"checkpoints are those of {report.step} steps. Ask for {report.step} or more by training.steps, or type "
            "`name=NEW_NAME` for a new run."
        )
    stopped_early = bool(report.training.get("stopped_early")) and config.training.early_stop > 0
    return report.step == steps or stopped_early


def _write_results(trainer: Trainer, preparation: Preparation) -> RunReport:
    """Score every task on all of its rows and write results, predictions, model, card, task list and citations."""
    from taskloom.evaluation.engine import fingerprint
    from taskloom.evaluation.report import RunReport, summarize
    from taskloom.modeling.encoder import resolve_encoder
    from taskloom.modeling.lineage import lineage_of
    from taskloom.training.plan import library_versions
    from taskloom.workflows.publishing import pages_of, trained_tasks, write_report

    config, run, plan = trainer.config, trainer.run, trainer.plan
    tasks = trainer.evaluate(keep=True)
    report = RunReport(
        model=fingerprint(trainer.model),
        run=config.name,
        seed=config.seed,
        step=trainer.step,
        encoder=config.encoder,
        libraries=library_versions(),
        data_fingerprint=plan.fingerprint(),
        tasks=tasks,
        aggregate=summarize(tasks),
        training=trainer.training_figures(),
        not_trained=preparation.left_out(),
    )
    head = trainer.model.table.zero_shot()
    lineage = lineage_of(resolve_encoder(config.encoder))
    pages = pages_of(plan, report, config, head.task if head else None, before=lineage.besides(plan.tasks))
    if not run.writes:
        return report
    trainer.model.save(
        run.model,
        tokenizer_folder=trainer.tokenizer.folder,
        max_length=config.data.max_length,
        encoder_name=config.encoder,
        files=pages,  # the model may leave without its run
        training=lineage.after(plan.tasks, kept_away(config)).to_json(),
    )
    for name, page in pages.items():
        run.write(name, page)
    run.write("left_out.json", json.dumps({task: places.tolist() for task, places in plan.left_out.items()}))
    report.write(run.file("results.json"))  # its existence says that the run is finished
    write_report(run.path, report, trained_tasks(plan), config)  # `taskloom report` makes it anew, so it comes after
    return report


def report(path: Path, *, texts: bool = True, transfer: Path | None = None) -> Path:
    """Write card, tasks.md and report.html of a finished run anew, the latter with transfer results (default: its
    transfer.jsonl), and return the report's path.

    Raises ModelError for anything but a run folder, DataError for results or recipes that are not there.
    """
    from taskloom.evaluation.report import read_report
    from taskloom.run_file import load_config
    from taskloom.workflows.publishing import planned_tasks, write_cards, write_report

    folder = _run_folder(path)
    if not (folder / "results.json").is_file():
        raise ModelError(f"{folder} has no results yet. Type the command that trains it again: a run goes on.")
    config = load_config(folder / "config.toml")
    trained, results = planned_tasks(folder, choose(config).tasks), read_report(folder / "results.json")
    write_cards(folder, results, trained, config)
    return write_report(folder, results, trained, config, texts=texts, transfer=transfer)


def _run_folder(path: Path) -> Path:
    folder = path.parent if path.name == "model" else path
    if not (folder / "config.toml").is_file():
        raise ModelError(f"{path} is not a run folder: it has no config.toml, which says where the tasks' rows are.")
    return folder
