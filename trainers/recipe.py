"""A recipe: one condition of a study in one TOML file, checked before anything is computed."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator

from babyeval.card import explain_validation, first_problem
from babyeval.errors import MissingError, UsageError

from .instruct.spec import SetSpec, require_known
from .overrides import Override, merged, override_in, parse, same_as
from .sections import (
    Checkpoints,
    Clean,
    Data,
    Evaluate,
    Form,
    Logging,
    ModelSpec,
    Preference,
    Section,
    TokenizerSpec,
    Training,
    Tuning,
    Updates,
)

__all__ = [
    "AnyRecipe", "Checkpoints", "Clean", "Data", "Evaluate", "Form", "Logging", "ModelSpec", "Preference", "Recipe",
    "TokenizerSpec", "Training", "Tuning", "TuningRecipe", "Updates", "differences", "load_recipe", "shipped_recipes",
]  # fmt: skip


class AnyRecipe(Section):
    """What all recipes say: one condition of a study.

    Attributes:
        condition: The training condition's name, as comparisons show it.
        seed: Of initialisation, data order and masking.
        parent: Checkpoint from which training goes on, instead of fresh weights.
        data: The corpus.
        checkpoints: Which checkpoints are kept.
        logging: What is written down.
        evaluate: Tasks that are run at checkpoints.
    """

    condition: str = Field(default="pretrained", min_length=1, max_length=100)
    seed: int = Field(default=0, ge=0, le=2**32 - 1)  # NumPy takes no more
    parent: Path | None = None
    data: Data = Data()
    checkpoints: Checkpoints = Checkpoints()
    logging: Logging = Logging()
    evaluate: Evaluate = Evaluate()

    @property
    def section(self) -> Literal["pretrain", "instruct", "prefer"]:
        """The section, and stage, that says how weights are updated."""
        raise NotImplementedError

    @property
    def training(self) -> Updates:
        """That section."""
        raise NotImplementedError

    @property
    def causal(self) -> bool:
        """Whether the model predicts the next token, and not masked ones."""
        return True

    @property
    def root(self) -> Recipe | None:
        """The recipe of the pre-training that all begins with; None if it begins with a checkpoint of other origin."""
        return None

    @property
    def lineage(self) -> tuple[AnyRecipe, ...]:
        """This recipe, the one whose training comes before, and so on, until a checkpoint takes its place."""
        return (self,)

    def as_json(self) -> dict[str, Any]:
        """The whole recipe, defaults included, as it is stored in checkpoints."""
        return self.model_dump(mode="json")


class Recipe(AnyRecipe):
    """A model from raw text.

    Attributes:
        tokenizer: The tokenizer.
        model: The model's shape.
        pretrain: How it is trained.
    """

    tokenizer: TokenizerSpec = TokenizerSpec()
    model: ModelSpec
    pretrain: Training

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        length = self.pretrain.sequence_length
        if length is not None and length > self.model.max_length:
            raise ValueError(
                f"pretrain.sequence_length {length} is longer than the model takes (model.max_length {self.model.max_length})"
            )
        return self

    @property
    def sequence_length(self) -> int:
        """Tokens of a packed sequence."""
        return self.pretrain.sequence_length or self.model.max_length

    @property
    def section(self) -> Literal["pretrain", "instruct", "prefer"]:
        return "pretrain"

    @property
    def training(self) -> Training:
        return self.pretrain

    @property
    def causal(self) -> bool:
        return self.model.causal

    @property
    def root(self) -> Recipe:
        return self


class TuningRecipe(AnyRecipe):
    """A model that goes on from another on instructions or preferences; it needs `base` or `parent`.

    Attributes:
        base: Recipe of the training that comes before, as a shipped name or a path. Its result is the parent, and is
            made if it is not there; its `seed`, `data`, `logging` and `sets` hold here too, key by key, unless said
            otherwise.
        sets: The sets, by name.
        instruct: How it is tuned on replies.
        prefer: How it is tuned on preferences.
    """

    condition: str = Field(min_length=1, max_length=100)
    base: str | None = None
    sets: dict[str, SetSpec]
    instruct: Tuning | None = None
    prefer: Preference | None = None
    _before: Recipe | TuningRecipe | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _fits_together(self) -> TuningRecipe:
        if self.instruct is not None and self.prefer is not None:
            raise ValueError(
                "instruct and prefer are two trainings: give the second one a recipe of its own, with this one as base"
            )
        if self.instruct is None and self.prefer is None:
            raise ValueError("a recipe with base or sets needs a section instruct or prefer")
        if self.base is None and self.parent is None:
            raise ValueError("base (a recipe) or parent (a checkpoint) is needed: what is tuned?")
        require_known(self.set_names, self.sets, "prefer.sets" if self.instruct is None else "instruct.curriculum")
        return self

    @property
    def section(self) -> Literal["pretrain", "instruct", "prefer"]:
        return "instruct" if self.instruct is not None else "prefer"

    @property
    def training(self) -> Tuning | Preference:
        return self.tuning if self.instruct is not None else self.preference

    @property
    def tuning(self) -> Tuning:
        """The section `instruct`.

        Raises:
            UsageError: The recipe has none.
        """
        if self.instruct is None:
            raise UsageError(
                f"The recipe of '{self.condition}' has no section instruct.", hint="'babyeval train prefer' runs it."
            )
        return self.instruct

    @property
    def preference(self) -> Preference:
        """The section `prefer`.

        Raises:
            UsageError: The recipe has none.
        """
        if self.prefer is None:
            raise UsageError(
                f"The recipe of '{self.condition}' has no section prefer.", hint="'babyeval train instruct' runs it."
            )
        return self.prefer

    @property
    def before(self) -> Recipe | TuningRecipe | None:
        """The recipe of the training that comes before, with this one's seed and corpus; None without `base`."""
        return self._before

    @property
    def root(self) -> Recipe | None:
        return None if self._before is None else self._before.root

    @property
    def lineage(self) -> tuple[AnyRecipe, ...]:
        return (self,) if self._before is None or self.parent is not None else (self, *self._before.lineage)

    @property
    def set_names(self) -> tuple[str, ...]:
        """The sets that are trained on, each once, in their order."""
        if self.instruct is None:
            return self.preference.sets
        return tuple(dict.fromkeys(name for stage in self.instruct.curriculum.stages for name in stage))


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with babyeval, by name."""
    folder = resources.files("babyeval.trainers.recipes")
    return {Path(str(file)).stem: Path(str(file)) for file in sorted(folder.iterdir(), key=str) if str(file).endswith(".toml")}


def load_recipe(name: str, overrides: tuple[str, ...] = ()) -> Recipe | TuningRecipe:
    """Reads a recipe and applies what the command sets.

    Args:
        name: Path of a TOML file, or the name of a shipped recipe.
        overrides: Each ``section.key=value``; a value is read as TOML, else as text. Of a recipe with a base, those of
            sections that are the base's go there: ``seed``, ``data`` and ``logging`` to both, ``sets`` wherever a set
            is described.

    Raises:
        MissingError: There is no such file or recipe.
        UsageError: The file is not TOML; a key is unknown (the nearest is suggested) or a value is wrong.

    Example:
        >>> load_recipe("tiny", ("seed=3", "pretrain.epochs=1")).seed
        3
    """
    settings = [parse(text) for text in overrides]
    recipe = _loaded(find_recipe(name), settings, ())[0]
    if isinstance(recipe, TuningRecipe):
        _require_used(recipe, settings)
    return recipe


def _loaded(path: Path, overrides: list[Override], above: tuple[Path, ...]) -> tuple[Recipe | TuningRecipe, dict[str, Any]]:
    """A recipe, and the content that it was made of."""
    if path.resolve() in above:
        raise UsageError("The recipe is its own base.", where=" -> ".join(map(str, (*above, path))))
    content = _read(path)
    for one in overrides:
        if one.keys == ("base",):
            override_in(content, one)
    described, base = content.get("sets", {}), content.get("base")
    earlier = _passed_down(content) if isinstance(base, str) else set()
    of_sets = [one for one in overrides if one.keys[0] == "sets" and len(one.keys) > 1]
    for one in overrides:
        if one.keys[0] not in earlier and one not in of_sets:
            override_in(content, one)
    before: Recipe | TuningRecipe | None = None
    inherited: dict[str, Any] = {}
    if isinstance(base, str):
        _require_trained(content, [one for one in overrides if one.keys[0] in earlier], path)
        down = [one for one in overrides if one.keys[0] in {*earlier, *_SHARED}] + of_sets
        place = find_recipe(base, path)
        before, below = _loaded(place, [*same_as(content, _SHARED_VALUES), *down], (*above, path.resolve()))
        inherited = {key: below[key] for key in (*_SHARED, "sets") if key in below}
    for one in of_sets:  # of a set that nobody describes, at the top
        if one.keys[1] in described or not (above or one.keys[1] in inherited.get("sets", {})):
            override_in(content, one)
    content = merged(inherited, content)
    kind: type[Recipe] | type[TuningRecipe] = TuningRecipe if _TUNING & content.keys() and "model" not in content else Recipe
    try:
        recipe = kind.model_validate(content)
    except ValidationError as error:
        raise UsageError(
            f"The recipe is wrong: {explain_validation(error, _known_keys(kind, error))}.",
            where=str(path) + "".join(f", with --set {one.text}" for one in overrides if "=" in one.text),
            hint="The documentation lists all keys: the pages 'Train a baby model' and 'Instruction-tune a baby model'.",
        ) from error
    if isinstance(recipe, TuningRecipe):
        if before is not None and before.condition == recipe.condition:
            raise UsageError(f"The recipe and its base have the same condition '{recipe.condition}'.", where=str(path))
        recipe._before = before
    return recipe, content


_TUNING = {"base", "sets", "instruct", "prefer"}
_SHARED = ("seed", "data", "logging")
_SHARED_VALUES = (("seed",), ("data", "corpus"))


def _passed_down(content: dict[str, Any]) -> set[str]:
    """The sections of which a recipe with this content has none, but its base may."""
    return {"tokenizer", "model", "pretrain", *(("instruct",) if "prefer" in content else ())}


def _require_trained(content: dict[str, Any], earlier: list[Override], path: Path) -> None:
    """Refuses settings of trainings whose place a checkpoint takes.

    Raises:
        UsageError: There is one.
    """
    if earlier and content.get("parent") is not None:
        raise UsageError(
            f"--set {earlier[0].text} is of an earlier training, and none takes place: parent = {content['parent']} is there.",
            where=str(path),
            hint="Leave out the one or the other.",
        )


def _require_used(recipe: TuningRecipe, overrides: list[Override]) -> None:
    """Refuses settings of sets that nothing is trained on.

    Raises:
        UsageError: There is one.
    """
    used = {name for one in recipe.lineage if isinstance(one, TuningRecipe) for name in one.set_names}
    for override in overrides:
        if override.keys[0] == "sets" and len(override.keys) > 1 and override.keys[1] not in used:
            raise UsageError(
                f"--set {override.text} would change nothing: no training is on the set '{override.keys[1]}'.",
                where=f"sets.{override.keys[1]}",
                hint=f"Trained on: {', '.join(sorted(used))}.",
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The recipe cannot be read: {error}.", where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        hint = "See one that is: 'babyeval train recipes --show tiny'."
        raise UsageError(f"The recipe is not valid TOML: {error}.", where=str(path), hint=hint) from error


def find_recipe(name: str, base_of: Path | None = None) -> Path:
    """Where a recipe lies; a base beside the recipe that names it, before anywhere else."""
    import difflib

    if base_of is not None and (base_of.parent / name).is_file():
        return base_of.parent / name
    if Path(name).is_file():
        return Path(name)
    shipped = shipped_recipes()
    if name in shipped:
        return shipped[name]
    near = difflib.get_close_matches(name, shipped, n=1)
    raise MissingError(
        f"There is no recipe '{name}', neither as a file nor among those that come with babyeval.",
        where=f"{base_of}: base = '{name}'" if base_of is not None else None,
        hint=(f"Did you mean '{near[0]}'? " if near else "") + f"Shipped: {', '.join(shipped)}.",
    )


def _known_keys(kind: type[BaseModel], error: ValidationError) -> tuple[str, ...]:
    """The keys of the section that the first problem is in."""
    section: Any = kind
    for part in first_problem(error)["loc"][:-1]:
        field = section.model_fields.get(str(part)) if section is not None else None
        if field is None:  # a name in a table of sections
            continue
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        section = next((kind for kind in inner if issubclass(kind, BaseModel)), section)
    return tuple(section.model_fields)


def differences(stored: dict[str, Any], recipe: AnyRecipe) -> list[str]:
    """The keys in which a stored recipe is another than this one, each with both values.

    A key that a later version of babyeval knows is taken to have had its default. What a recipe with a parent does not
    say of the model is the parent's, and was stored as such.
    """
    content = recipe.as_json()
    if isinstance(recipe, Recipe) and recipe.parent is not None and isinstance(there := stored.get("model"), dict):
        said = recipe.model.model_dump(mode="json", exclude_unset=True)
        extra = {**there.get("extra", {}), **recipe.model.extra}
        content["model"] = {**content["model"], **there, **said, "extra": extra}
    return _compare(stored, content, json.loads(recipe.model_dump_json(exclude_defaults=True)), "")


def _compare(old: Any, new: Any, own: Any, place: str) -> list[str]:
    """`own` holds of `new` what is no default."""
    if isinstance(old, dict) and isinstance(new, dict):
        own = own if isinstance(own, dict) else {}
        found = []
        for key in sorted(old.keys() | new.keys()):
            if key in old or key in own:
                found += _compare(old.get(key), new.get(key), own.get(key), f"{place}.{key}" if place else key)
        return found
    return [] if old == new else [f"{place}: {json.dumps(old)} there, {json.dumps(new)} here"]
