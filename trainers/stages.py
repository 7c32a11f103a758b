"""The stages of a training: each runs those before it that are missing, and none runs twice."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from babyeval.errors import UsageError
from babyeval.progress import Quiet, Reporter

from .begun import begin, checkpoint_names, require_same_recipe, state_of
from .folders import built, file_digest, run_folder
from .milestones import FINAL, Origin
from .pretrain import Job, pretrain
from .recipe import AnyRecipe, Recipe, TuningRecipe
from .saving import TrainingFacts, read_facts
from .schedule import divide_batch
from .unchanged import require_same_data
from .validate import DomainLoss

if TYPE_CHECKING:
    from babyeval.models.checkpoint import Checkpoint

    from .corpus.types import Corpus
    from .devices import Devices

Stage = Literal["corpus", "tokenizer", "pretrain", "instruct", "prefer"]
STAGES: tuple[Stage, ...] = ("corpus", "tokenizer", "pretrain", "instruct", "prefer")


class StageResult(BaseModel):
    """What a stage has made.

    Attributes:
        stage: Which.
        folder: Where it lies.
        finished_before: Nothing was to do: it had been made before.
        words: Words of the corpus; of a training, words seen, its parent's included.
        words_tuned: Of a tuning, words seen in it.
        tokens: Tokens of the vocabulary; of a training, tokens seen.
        steps: Updates.
        parameters: Of the model.
        checkpoints: Names of the checkpoints in the folder.
        validation: Losses of the final weights, by domain.
        seconds: Time taken.
    """

    model_config = ConfigDict(frozen=True)

    stage: Stage
    folder: Path
    finished_before: bool = False
    words: int | None = None
    words_tuned: int | None = None
    tokens: int | None = None
    steps: int | None = None
    parameters: int | None = None
    checkpoints: tuple[str, ...] = ()
    validation: dict[str, DomainLoss] = {}
    seconds: float = 0.0


def run_stage(stage: Stage, recipe: AnyRecipe, out: Path, resume: bool, reporter: Reporter) -> StageResult:
    """Runs a stage of a recipe, and before it what it needs.

    Args:
        stage: ``corpus``, ``tokenizer``, ``pretrain``, ``instruct`` or ``prefer``.
        recipe: What to make; of a tuning's recipe the first three are those of the pre-training that it begins with.
        out: Folder of all runs.
        resume: Go on with a training that was interrupted.
        reporter: Where it speaks.

    Raises:
        UsageError: The recipe is wrong, another one was trained in this folder, or an unfinished training is there
            and `resume` is not asked for.
        MissingError: The corpus, memory, disk space or a library is missing.
        ModelError: The training diverged.
        DataError: A file of the corpus is damaged.
    """
    from .devices import connected

    started = time.monotonic()
    whole, recipe = recipe, recipe_of(stage, recipe)
    with connected(recipe) as devices:
        if not devices.main:
            reporter = Quiet()
        if whole.section != recipe.section:
            reporter.note(
                f"The recipe of '{whole.condition}' is a tuning; this is the {stage} it begins with. "
                f"'babyeval train {whole.section}' runs all of it."
            )
        if stage in ("corpus", "tokenizer") and isinstance(recipe, Recipe):
            result = _data(stage, recipe, out, reporter)
        else:
            result = train(recipe, out, resume, devices, reporter)
    return result.model_copy(update={"seconds": round(time.monotonic() - started, 3)})


def recipe_of(stage: Stage, recipe: AnyRecipe) -> AnyRecipe:
    """The recipe that a stage is about.

    Raises:
        UsageError: It has no such stage.
    """
    if stage in ("instruct", "prefer"):
        if recipe.section != stage:
            raise UsageError(
                f"The recipe of '{recipe.condition}' has no section {stage}.", hint=f"'babyeval train {recipe.section}' runs it."
            )
        return recipe
    if recipe.root is None:
        raise UsageError(
            f"The recipe of '{recipe.condition}' begins with a checkpoint, so it has no {stage}.",
            hint=f"'babyeval train {recipe.section}' runs it.",
        )
    return recipe.root


def train(recipe: AnyRecipe, out: Path, resume: bool, devices: Devices, reporter: Reporter) -> StageResult:
    """Runs the training that a recipe is about; the processes are connected."""
    with _alone(run_folder(out, recipe), devices):
        if isinstance(recipe, TuningRecipe):
            from .tune import tune

            return tune(recipe, out, resume, devices, reporter)
        assert isinstance(recipe, Recipe)
        return _pretrain(recipe, out, resume, devices, reporter)


@contextmanager
def _alone(folder: Path, devices: Devices) -> Iterator[None]:
    """Holds the folder of a run: a second training would remove the first one's states.

    Raises:
        UsageError: Another process trains there.
        MissingError: The folder cannot be made or written.
    """
    if not devices.main:
        yield
        return
    from babyeval.lock import LOCK_FILE, taken

    made = [place for place in (folder, folder.parent) if not place.exists()]
    lock = taken(folder)
    if lock is None:
        raise UsageError(
            "Another process is training in this folder.",
            where=str(folder),
            hint="Wait for it to end, or take another condition's name, seed or --out.",
        )
    try:
        yield
    finally:
        (folder / LOCK_FILE).unlink(missing_ok=True)
        lock.close()
        with suppress(OSError):  # something was begun there
            for place in made:
                place.rmdir()


def _data(stage: Stage, recipe: Recipe, out: Path, reporter: Reporter) -> StageResult:
    """The corpus, and the tokenizer if that is asked for."""
    corpus = _corpus(recipe, out, reporter)
    words = corpus.train_words + corpus.valid_words
    if stage == "corpus":
        return StageResult(stage=stage, folder=corpus.folder, words=words)
    folder = _tokenizer(recipe, corpus, _parent(recipe), out, reporter)
    return StageResult(stage=stage, folder=folder, words=words, tokens=_vocabulary(folder))


def _pretrain(recipe: Recipe, out: Path, resume: bool, devices: Devices, reporter: Reporter) -> StageResult:
    from .checks import check_recipe
    from .devices import require_same_number, zero_settings
    from .parent import as_parent
    from .shards import build_shards

    check_recipe(recipe)
    folder = run_folder(out, recipe)
    require_same_recipe(folder, recipe, out)
    if (facts := read_facts(folder / FINAL)) is not None:
        require_same_data(recipe, out, facts, folder)
        words = "" if facts.words_seen is None else f"{facts.words_seen:,} words in "
        reporter.note(f"{folder} is finished: {words}{facts.step:,} updates. Nothing is to do.")
        return finished("pretrain", folder, facts)
    state = state_of(folder, resume, reporter)
    require_known_tasks(recipe)
    shape = divide_batch(recipe.pretrain.batch_size, recipe.pretrain.micro_batch_size, devices.world_size)
    if state is not None:
        require_same_number(state, devices)
    parent = _parent(recipe)
    if parent is not None:
        recipe = as_parent(recipe, parent)
    corpus = _corpus(recipe, out, reporter)
    source = _tokenizer(recipe, corpus, parent, out, reporter)
    shards = build_first(lambda: build_shards(corpus, source, recipe.sequence_length, recipe.model.causal, out, reporter))
    origin = Origin(
        corpus=corpus.digest, tokenizer=file_digest(source / "tokenizer.json"), parent=parent.digest if parent else None
    )
    if devices.main:
        begin(folder, recipe, origin, source, going_on=state is not None)
    job = Job(
        recipe=recipe, folder=folder, tokenizer=source, shards=shards, origin=origin, parent=parent, state=state,
        shape=shape, deepspeed=zero_settings(recipe.pretrain),
    )  # fmt: skip
    outcome = pretrain(job, reporter)
    return StageResult(
        stage="pretrain",
        folder=folder,
        words=outcome.words_seen,
        tokens=outcome.tokens_seen,
        steps=outcome.steps,
        parameters=outcome.parameters,
        checkpoints=checkpoint_names(folder),
        validation=outcome.losses,
    )


def build_first(build: Callable[[], Any]) -> Any:
    """Builds in the first process; the others then find it built."""
    from .devices import main_first

    with main_first():
        return build()


def _corpus(recipe: Recipe, out: Path, reporter: Reporter) -> Corpus:
    from .corpus.build import build_corpus

    corpus: Corpus = build_first(lambda: build_corpus(recipe.data, out, reporter))
    return corpus


def _tokenizer(recipe: Recipe, corpus: Corpus, parent: Checkpoint | None, out: Path, reporter: Reporter) -> Path:
    """The folder of the tokenizer: trained on the corpus, or the parent's."""
    from .tokenizer import train_tokenizer

    def make() -> Path:
        if parent is None:
            return train_tokenizer(corpus, recipe.tokenizer, recipe.model.causal, out, recipe.model.max_length, reporter)
        return parents_tokenizer(parent, out)

    made: Path = build_first(make)
    return made


def parents_tokenizer(parent: Checkpoint, out: Path, chat_template: str | None = None, reporter: Reporter | None = None) -> Path:
    """A folder with the parent's tokenizer and nothing else.

    Args:
        parent: Whose.
        out: Folder of all runs.
        chat_template: Takes the place of the parent's: a shipped template's name, or the path of a Jinja file.
        reporter: Is told which marks of that template are no tokens.

    Raises:
        MissingError: The template is not there, or the folder cannot be written.
        UsageError: The tokenizer has no tokens for the template's marks.
    """
    from copy import deepcopy

    from .folders import content_key, data_folder
    from .tokenizer import read_template, require_marks

    tokenizer = parent.tokenizer
    if chat_template is not None:
        tokenizer = deepcopy(tokenizer)
        tokenizer.chat_template = read_template(chat_template)
        if (said := require_marks(tokenizer, chat_template)) and reporter is not None:
            reporter.note(said)
    # The digest leaves out the template, which says how a model is asked, and not what it answers.
    folder = data_folder(out, "tokenizer", content_key("of a parent", parent.digest, tokenizer.chat_template))
    if not folder.is_dir():
        with built(folder) as draft:
            tokenizer.save_pretrained(draft)
            if parent.folder is not None and (parent.folder / "tokenizer.json").is_file():
                shutil.copyfile(parent.folder / "tokenizer.json", draft / "tokenizer.json")  # so that its digest stays
    return folder


def _parent(recipe: Recipe) -> Checkpoint | None:
    """The checkpoint from which the training goes on.

    Raises:
        MissingError: It is not there.
        UsageError: It cannot be used.
    """
    if recipe.parent is None:
        return None
    from babyeval.models.checkpoint import open_checkpoint
    from babyeval.models.naming import parse_model

    return open_checkpoint(parse_model(str(recipe.parent)))


def _vocabulary(folder: Path) -> int:
    from babyeval.models.tokenizer import load_tokenizer

    return len(load_tokenizer(folder))


def finished(stage: Stage, folder: Path, facts: TrainingFacts) -> StageResult:
    """The result of a training that has ended before."""
    from babyeval.models.digest import parameter_count

    return StageResult(
        stage=stage,
        folder=folder,
        finished_before=True,
        words=facts.words_seen,
        words_tuned=facts.words_tuned,
        tokens=facts.tokens_seen,
        steps=facts.step,
        parameters=parameter_count(folder / FINAL),
        checkpoints=checkpoint_names(folder),
        validation={name: DomainLoss.model_validate(loss) for name, loss in facts.validation.items()},
    )


def require_known_tasks(recipe: AnyRecipe) -> None:
    """Finds out before hours of training whether the recipe's tasks are tasks."""
    if recipe.evaluate.tasks:
        from babyeval.registry import resolve_tasks

        resolve_tasks(list(recipe.evaluate.tasks))
