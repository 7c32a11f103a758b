"""What is done of a training when it has come so far: it is validated, kept as a checkpoint, and evaluated."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.errors import BabyevalError, ModelError, raise_interrupt
from babyeval.progress import Reporter

from .callbacks import Before, Due, Exposure, Progress, report_callbacks
from .history import FIGURE_FILE, LOG_FILE, append_line, cut_back, draw, read_lines
from .recipe import AnyRecipe
from .saving import TrainingFacts, clean_states, save_checkpoint, steps_done
from .schedule import Schedule
from .validate import DomainLoss, as_log, in_words, validate

if TYPE_CHECKING:
    from .engine import LanguageTrainer

FINAL = "final"
RESULTS = "results"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a training comes from.

    Attributes:
        corpus: Digest of the corpus, or of the sets of a tuning together.
        tokenizer: Digest of the tokenizer's file.
        parent: Digest of the checkpoint from which it goes on.
        sets: Digest of each set of a tuning.
        chat_template: Of a tuning, digest of the template that writes its rows.
    """

    corpus: str
    tokenizer: str
    parent: str | None = None
    sets: Mapping[str, str] = field(default_factory=dict)
    chat_template: str | None = None


@dataclass(slots=True)
class Milestones:
    """Everything that is measured and kept in the course of a training.

    All processes of a training call its methods alike; the first alone writes and speaks.

    Attributes:
        recipe: What is trained.
        folder: The run's folder.
        tokenizer: Folder of the tokenizer.
        schedule: Which checkpoints are kept.
        exposure: What has been seen.
        origin: Where it comes from.
        sets: The validation part, by domain or set: `ValidationSet` unless `measure` takes others.
        reporter: Where it speaks.
        measure: Measures the validation part; None: the loss of its tokens.
        kept: Names of the checkpoints written so far.
        losses: Of the last validation.
    """

    recipe: AnyRecipe
    folder: Path
    tokenizer: Path
    schedule: Schedule
    exposure: Exposure
    origin: Origin
    sets: Mapping[str, Any]
    reporter: Reporter
    measure: Callable[[Any], dict[str, DomainLoss]] | None = None
    kept: list[str] = field(default_factory=list)
    losses: dict[str, DomainLoss] = field(default_factory=dict)
    _validated: int = -1

    def callbacks(
        self, advance: Callable[[int], None], state: Path | None, *, main: bool, more: Mapping[str, str] | None = None
    ) -> list[Any]:
        """What happens between updates; what writes and shows does so in the first process alone.

        Args:
            advance: Moves the bar.
            state: From which the training goes on; what the log has of later updates is removed.
            main: Whether this is the first process.
            more: As of `Progress`.
        """
        if not main:
            return [Due(self.due)]
        log, before = self.folder / LOG_FILE, self.exposure.updates_before
        done = before + steps_done(state)
        cut_back(log, done or -1)  # nothing is done: not even validated
        reports = report_callbacks(self.recipe.logging.report_to, self.folder, done, before)
        return [Due(self.due), Progress(self.exposure, advance, log, more), *reports]

    def attach(self, trainer: LanguageTrainer, state: Path | None) -> None:
        """Has the trainer call for whatever is due; removes what an interrupted training left behind the state."""
        trainer.milestone = lambda step: self.reach(trainer, step)
        if self.exposure.tuned_from is not None and not self.exposure.updates_before + steps_done(state):
            trainer.add_callback(Before(lambda: self.begin(trainer)))
        trainer.accelerator.wait_for_everyone()  # all have chosen the state before others are removed
        if trainer.is_world_process_zero():
            clean_states(trainer.states, state)

    def due(self, step: int) -> bool:
        """Whether anything is to be done after this update."""
        ends = step == self.schedule.updates
        return ends or bool(self.schedule.at.get(step)) or self._validation_due(step) or self.schedule.state_at(step)

    def begin(self, trainer: LanguageTrainer) -> None:
        """Validates the weights to begin with, so that what training does to them can be seen."""
        self._validate(trainer, 0)

    def reach(self, trainer: LanguageTrainer, step: int) -> None:
        """Does what is due after an update."""
        names = self.schedule.at.get(step, ())
        if names or self._validation_due(step):
            self._validate(trainer, step)
        for name in names:
            self._keep(trainer, step, name)
        self._evaluate(trainer, step, names)

    def finish(self, trainer: LanguageTrainer, step: int, name: str = FINAL) -> None:
        """Validates the final weights, draws the figure, and keeps the weights: that they are there means all is done."""
        trainer.require_finite()
        self._validate(trainer, step)
        if trainer.is_world_process_zero():
            title = f"{self.recipe.condition}, seed {self.recipe.seed}"
            draw(read_lines(self.folder / LOG_FILE), self.folder / FIGURE_FILE, title, "pair" if self.measure else "token")
        self._keep(trainer, step, name)
        self._evaluate(trainer, step, (name,))

    def _validation_due(self, step: int) -> bool:
        every = self.recipe.logging.valid_steps
        return bool(every) and step % every == 0

    def _validate(self, trainer: LanguageTrainer, step: int) -> None:
        """Validates, once for each update.

        Raises:
            ModelError: The weights give no finite loss, and must not be kept.
        """
        if step == self._validated or not self.sets:
            return
        self.losses = self.measure(trainer) if self.measure else validate(trainer, self.sets, self.recipe.causal)
        self._validated = step
        wrong = [name for name, loss in self.losses.items() if not math.isfinite(loss.loss)]
        if wrong:
            raise ModelError(
                f"The weights after update {self.exposure.updates_before + step:,} give no finite loss on the validation part ({', '.join(wrong)}).",
                where=str(self.folder),
                hint=f"They are not kept; what was kept before is good. Lower {self.recipe.section}.learning_rate, or warm up longer.",
            )
        words = self.exposure.words_seen(step)
        if trainer.is_world_process_zero():
            append_line(self.folder / LOG_FILE, {**self.exposure.place(step), "validation": as_log(self.losses)})
            self.reporter.note(f"{words:,} words: {in_words(self.losses)}")

    def _keep(self, trainer: LanguageTrainer, step: int, name: str) -> None:
        if trainer.is_world_process_zero():
            save_checkpoint(self.folder / name, trainer.write_weights, self.tokenizer, self._facts(step))
        else:
            trainer.write_weights(self.folder / name)  # gives its part of the weights, and writes nothing
        trainer.accelerator.wait_for_everyone()
        self.kept.append(name)

    def _facts(self, step: int) -> TrainingFacts:
        return TrainingFacts(
            condition=self.recipe.condition,
            seed=self.recipe.seed,
            words_seen=self.exposure.words_seen(step) if self.exposure.known else None,
            words_tuned=self.exposure.words_tuned(step),
            tokens_seen=self.exposure.tokens(step),
            step=self.exposure.updates_before + step,
            parent_digest=self.origin.parent,
            corpus_digest=self.origin.corpus,
            tokenizer_digest=self.origin.tokenizer,
            set_digests=dict(self.origin.sets),
            recipe=self.recipe.as_json(),
            validation=as_log(self.losses) if step == self._validated else {},
        )

    def _evaluate(self, trainer: LanguageTrainer, step: int, names: tuple[str, ...]) -> None:
        """Runs the recipe's tasks on kept checkpoints; that one of them fails does not stop the training."""
        if not self.recipe.evaluate.tasks or not names:
            return
        if trainer.is_world_process_zero():
            for name in names:
                with _same_random_numbers():
                    values = self._results(name)
                line = {**self.exposure.place(step), "checkpoint": name, "results": values}
                append_line(self.folder / LOG_FILE, line)
        trainer.accelerator.wait_for_everyone()

    def _results(self, name: str) -> dict[str, float | None]:
        from babyeval.api import evaluate

        wanted = self.recipe.evaluate
        options: dict[str, Any] = {"split": wanted.split, "out": self.folder / RESULTS, "revisions": name}
        if wanted.data_dir is not None:
            options["data_dir"] = wanted.data_dir
        try:
            results = evaluate(str(self.folder), wanted.tasks, reporter=self.reporter, **options)
        except BabyevalError as error:
            self.reporter.note(f"{name} could not be evaluated: {error}")
            return {}
        except Exception as error:  # of a task of any origin: hours of training must not be lost by it
            raise_interrupt(error)
            self.reporter.note(f"{name} could not be evaluated: {type(error).__name__}: {error}")
            return {}
        for result in results:
            if result.status != "done":
                self.reporter.note(f"{name}, {result.task.name}: {result.error}")
        return {
            f"{result.task.name}{'/' if score.subset else ''}{score.subset}": score.value
            for result in results
            for score in result.headlines
        }


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    """After the block Python, NumPy and PyTorch draw what they would have drawn without it."""
    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        yield
    random.setstate(python)
    np.random.set_state(numpy)
