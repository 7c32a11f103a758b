"""Tuning as a stage: its sets, its parent, which is trained first if it is not there, and what is begun or gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.errors import UsageError
from babyeval.progress import Reporter

from . import begun, stages
from .folders import content_key, file_digest, run_folder
from .milestones import FINAL, Origin
from .pretrain import STATES, Outcome
from .recipe import AnyRecipe, TuningRecipe, differences
from .saving import choose_state, read_facts
from .schedule import divide_batch
from .unchanged import compare_data, require_same_data

if TYPE_CHECKING:
    from babyeval.models.checkpoint import Checkpoint

    from .devices import Devices
    from .instruct.sets import InstructionSet

# What says how a training runs, or what is kept of it, but not which weights it leaves; of a corpus its text does, not its place.
_NO_MATTER = ("condition", "checkpoints", "logging", "evaluate", "data.corpus")
_NO_MATTER_KEYS = ("micro_batch_size", "devices", "zero", "zero_config", "compile", "gradient_checkpointing", "attention")


def tune(recipe: TuningRecipe, out: Path, resume: bool, devices: Devices, reporter: Reporter) -> stages.StageResult:
    """Tunes a model as its recipe says, after the trainings that come before.

    Args:
        recipe: What to make.
        out: Folder of all runs.
        resume: Go on with what was interrupted, here or before.
        devices: The processes.
        reporter: Where it speaks.

    Raises:
        UsageError: The recipe is wrong, does not fit its parent or its sets, or another one was trained in this folder.
        MissingError, ModelError, DataError: As `stages.run_stage`.
    """
    from .checks import check_recipe
    from .devices import zero_settings

    check_recipe(recipe)
    _require_same_before(recipe, out)
    folder, training = run_folder(out, recipe), recipe.training
    begun.require_same_recipe(folder, recipe, out)
    if (facts := read_facts(folder / FINAL)) is not None:
        require_same_data(recipe, out, facts, folder)
        reporter.note(f"{folder} is finished: {facts.words_tuned or 0:,} words in {facts.step:,} updates. Nothing is to do.")
        return stages.finished(recipe.section, folder, facts)
    going_on = begun.is_begun(folder, resume, reporter)
    stages.require_known_tasks(recipe)
    shape = divide_batch(training.batch_size, training.micro_batch_size, devices.world_size, recipe.section)
    named = _parent(recipe, out, resume, devices, reporter) if recipe.parent is not None else None
    sets = _sets(recipe, out, reporter)  # before a parent is trained for hours
    _check_sets(recipe, sets)
    parent = named or _parent(recipe, out, resume, devices, reporter)
    reporter.note(f"The parent is {parent.source}.")
    if parent.words_seen is None:
        reporter.note(f"Nothing says how many words {parent.source} has seen: only those of this tuning are counted.")
    tokenizer: Path = stages.build_first(lambda: stages.parents_tokenizer(parent, out, training.chat_template, reporter))
    digests = {name: made.digest for name, made in sets.items()}
    template = tokenizer / "chat_template.jinja"
    origin = Origin(
        content_key(digests), file_digest(tokenizer / "tokenizer.json"), parent.digest, digests,
        file_digest(template) if template.is_file() else None,
    )  # fmt: skip

    def start() -> None:
        if devices.main:
            begun.begin(folder, recipe, origin, tokenizer, going_on=going_on)

    job = {
        "recipe": recipe, "folder": folder, "tokenizer": tokenizer, "sets": sets, "origin": origin, "parent": parent,
        "shape": shape, "deepspeed": zero_settings(training),
    }  # fmt: skip
    outcome = _train(job, out, devices, going_on, start, reporter)
    return stages.StageResult(
        stage=recipe.section,
        folder=folder,
        words=outcome.words_seen,
        words_tuned=outcome.words_tuned,
        tokens=outcome.tokens_seen,
        steps=outcome.steps,
        parameters=outcome.parameters,
        checkpoints=begun.checkpoint_names(folder),
        validation=outcome.losses,
    )


def _train(
    job: dict[str, Any], out: Path, devices: Devices, going_on: bool, start: Callable[[], None], reporter: Reporter
) -> Outcome:
    from .devices import require_same_number

    if job["recipe"].section == "instruct":
        from .instruct.tuning import TuningJob, instruct

        for states in (job["folder"] / STATES).glob("stage_*"):
            if (state := choose_state(states)[0]) is not None:
                require_same_number(state, devices)
        return instruct(TuningJob(**job), start, reporter)
    from .prefer.tuning import PreferenceJob, prefer

    state, said = choose_state(job["folder"] / STATES) if going_on else (None, [])
    if state is not None:
        require_same_number(state, devices)
        said.append(f"The training goes on from {state}.")
    for remark in said:
        reporter.note(remark)
    return prefer(PreferenceJob(**job, out=out, state=state), start, reporter)


def _sets(recipe: TuningRecipe, out: Path, reporter: Reporter) -> dict[str, InstructionSet]:
    from .instruct.sets import build_set

    data = recipe.data

    def build() -> dict[str, InstructionSet]:
        return {name: build_set(name, recipe.sets[name], data.corpus, out, reporter, data.clean) for name in recipe.set_names}

    made: dict[str, InstructionSet] = stages.build_first(build)
    return made


def _check_sets(recipe: TuningRecipe, sets: dict[str, InstructionSet]) -> None:
    """Refuses sets that cannot be trained on even if all of their rows can be used.

    Raises:
        UsageError: They fill no batch, or have nothing that is not preferred.
    """
    if recipe.section == "instruct":
        from .instruct.tuning import lay_out

        lay_out(recipe, {name: made.manifest.parts["train"].rows for name, made in sets.items()})
    else:
        from .prefer.tuning import require_pairs

        require_pairs(recipe.preference, sets)


def _parent(recipe: TuningRecipe, out: Path, resume: bool, devices: Devices, reporter: Reporter) -> Checkpoint:
    """The checkpoint to begin with: the one that the recipe names, or what its base leaves, trained first if not there.

    Raises:
        UsageError: It is no causal model, its tokenizer is another, or another recipe than the base was trained.
        MissingError: It is not there.
    """
    from babyeval.models.checkpoint import open_checkpoint
    from babyeval.models.naming import parse_model

    place = recipe.parent
    if place is None:
        place = _bases_result(recipe, out, resume, devices, reporter)
    parent = open_checkpoint(parse_model(str(place)))
    if parent.backend != "causal":
        raise UsageError(
            f"The parent is a model of the kind '{parent.backend}', which writes no replies.",
            where=str(place),
            hint="Tuning needs a causal model, such as a Llama or a GPT-2.",
        )
    _require_tokenizer(parent, recipe, out)
    return parent


def _bases_result(recipe: TuningRecipe, out: Path, resume: bool, devices: Devices, reporter: Reporter) -> Path:
    from .devices import require_devices

    base = recipe.before
    if base is None:
        raise UsageError("Nothing says what is tuned.", hint="The recipe needs base or parent.")
    place = run_folder(out, base) / FINAL
    if read_facts(place) is None:
        require_devices(base)
        reporter.note(f"The parent '{base.condition}' is not there: it is trained first.")
        stages.train(base, out, resume, devices, reporter)
    return place


def _require_same_before(recipe: TuningRecipe, out: Path) -> None:
    """Refuses what another recipe than the base, or the base's base, has made: a parent, or what that one went on from.

    Raises:
        UsageError: There is such a training, or one of other data.
    """
    parent = run_folder(out, recipe.lineage[1]) / FINAL if recipe.lineage[1:] else None
    for one in recipe.lineage[1:]:
        place = run_folder(out, one) / FINAL
        if (facts := read_facts(place)) is None:
            continue
        lines = differences(facts.recipe, one)
        if found := [line for line in lines if not _no_matter(line.partition(":")[0], one)]:
            raise UsageError(
                f"What comes before was trained by another recipe ('{one.condition}'): {'; '.join(found)}.",
                where=str(place),
                hint="Set the same (--set), write elsewhere (--out), or, without settings of earlier trainings, take the "
                f"parent as it is: --set 'parent={parent}'.",
            )
        compared = compare_data(one, out, facts.corpus_digest, facts.set_digests)
        if changed := [what for what, same in compared.items() if same is False]:
            raise UsageError(
                f"What comes before ('{one.condition}') was trained on other data than are there now: another {' and another '.join(changed)}.",
                where=str(place),
                hint="Name what it was trained on (--corpus), write elsewhere (--out) to train it anew, or take the parent as "
                f"it is: --set 'parent={parent}'.",
            )


def _no_matter(key: str, recipe: AnyRecipe) -> bool:
    """Whether a key of a recipe has no say in which weights its training leaves."""
    section, _, rest = key.partition(".")
    unused = isinstance(recipe, TuningRecipe) and section == "sets" and rest.partition(".")[0] not in recipe.set_names
    return unused or key in _NO_MATTER or section in _NO_MATTER or rest in _NO_MATTER_KEYS


def _require_tokenizer(parent: Checkpoint, recipe: TuningRecipe, out: Path) -> None:
    """Refuses a parent whose tokenizer is not the one that it was trained with, or not the base's, as far as these are known.

    Raises:
        UsageError: It is another.
    """
    known = getattr(parent.config, "vocab_size", None)
    if known is not None and len(parent.tokenizer) > known:
        raise UsageError(
            f"The parent's tokenizer has {len(parent.tokenizer):,} tokens, and its model knows {known:,}.", where=parent.source
        )
    file = parent.folder / "tokenizer.json" if parent.folder is not None else None
    if file is None or not file.is_file():
        return
    wanted = {"the one that it was trained with": parent.training.get("tokenizer_digest")}
    if recipe.before is not None:
        base = run_folder(out, recipe.before) / begun.TOKENIZER / "tokenizer.json"
        wanted["that of the recipe's base"] = file_digest(base) if base.is_file() else None
    for whose, digest in wanted.items():
        if digest is not None and digest != file_digest(file):
            raise UsageError(
                f"The parent's tokenizer differs from {whose}.",
                where=str(file),
                hint="The same text would be other tokens. Put its own tokenizer back; leave out base if it has another origin.",
            )
