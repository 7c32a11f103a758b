"""babyeval train: corpus, tokenizer and model from a recipe."""

from __future__ import annotations

import json as json_module
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyeval.cli.options import Json

if TYPE_CHECKING:
    from babyeval.trainers.estimate import Estimate
    from babyeval.trainers.recipe import AnyRecipe
    from babyeval.trainers.stages import Stage, StageResult

app = typer.Typer(help="Train a model from raw text: corpus, tokenizer, pre-training, tuning.", no_args_is_help=True)

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, or a name that 'babyeval train recipes' lists.")]
Folder = Annotated[Path, typer.Option(help="Folder for everything that is made.")]
CorpusFolder = Annotated[
    Path | None, typer.Option("--corpus", help="Folder with one text file per domain; short for --set data.corpus=DIR.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="SECTION.KEY=VALUE instead of what the recipe says; may be repeated.", show_default=False),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a training that was interrupted.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what the training comes to, and stop; needs no corpus.")]
_OUT = Path("runs")


@app.command("recipes")
def recipes(
    show: Annotated[str | None, typer.Option(metavar="NAME", help="Print this recipe's file, to start one of your own.")] = None,
    json: Json = False,
) -> None:
    """The recipes that come with babyeval."""
    from babyeval.cli import render
    from babyeval.trainers.model import parameter_count
    from babyeval.trainers.recipe import find_recipe, load_recipe, shipped_recipes

    if show is not None:
        typer.echo(find_recipe(show).read_text(encoding="utf-8"), nl=False)
        return
    found = []
    for name, path in shipped_recipes().items():
        recipe = load_recipe(name)
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        root = recipe.root
        parameters = None if root is None else parameter_count(root.model, root.tokenizer.vocab_size)
        about = {"condition": recipe.condition, "parameters": parameters, "about": first.removeprefix("#").strip()}
        found.append({"name": name, **about, "path": str(path)})
    if json:
        render.print_json(found)
        return
    rows = [(one["name"], one["condition"], _readable(one["parameters"]), one["about"]) for one in found]
    render.console().print(render.simple_table("Recipes", ("name", "condition", "parameters", "what it is"), rows, (2,)))


@app.command("corpus")
def corpus(
    recipe: RecipeName,
    out: Folder = _OUT,
    corpus: CorpusFolder = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Read, clean, count and divide the corpus; one that is there is used again.

    Example: babyeval train corpus tiny --corpus text
    """
    _train("corpus", _recipe(recipe, corpus, settings), out, resume=False, dry_run=dry_run, json=json)


@app.command("tokenizer")
def tokenizer(
    recipe: RecipeName,
    out: Folder = _OUT,
    corpus: CorpusFolder = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Train the tokenizer, after the corpus if that is not there.

    Example: babyeval train tokenizer tiny --corpus text
    """
    _train("tokenizer", _recipe(recipe, corpus, settings), out, resume=False, dry_run=dry_run, json=json)


@app.command("pretrain")
def pretrain(
    recipe: RecipeName,
    out: Folder = _OUT,
    corpus: CorpusFolder = None,
    settings: Settings = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Pre-train the model, after corpus and tokenizer if they are not there.

    Example: babyeval train pretrain tiny --corpus text --out runs
    """
    _train("pretrain", _recipe(recipe, corpus, settings), out, resume=resume, dry_run=dry_run, json=json)


@app.command("instruct")
def instruct(
    recipe: RecipeName,
    out: Folder = _OUT,
    corpus: CorpusFolder = None,
    settings: Settings = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Tune a model on prompts and replies, after sets and parent if they are not there.

    Example: babyeval train instruct tiny-switch-wiki --corpus text --out runs
    """
    _train("instruct", _recipe(recipe, corpus, settings), out, resume=resume, dry_run=dry_run, json=json)


@app.command("prefer")
def prefer(
    recipe: RecipeName,
    out: Folder = _OUT,
    corpus: CorpusFolder = None,
    settings: Settings = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Tune a model to prefer one of two replies (DPO), after sets and parent if they are not there.

    Example: babyeval train prefer tiny-dpo --corpus text --set sets.preference.file=pairs.jsonl
    """
    _train("prefer", _recipe(recipe, corpus, settings), out, resume=resume, dry_run=dry_run, json=json)


def _recipe(name: str, corpus: Path | None, settings: list[str] | None) -> AnyRecipe:
    from babyeval.trainers.recipe import load_recipe

    # A path may hold quotes and backslashes; what JSON makes of it, TOML reads back.
    short = (f"data.corpus={json_module.dumps(str(corpus), ensure_ascii=False)}",) if corpus is not None else ()
    return load_recipe(name, (*(settings or ()), *short))


def _train(stage: Stage, recipe: AnyRecipe, out: Path, *, resume: bool, dry_run: bool, json: bool) -> None:
    """Runs one stage, or says what it comes to, and prints the outcome."""
    from babyeval.cli import render

    if dry_run:
        from babyeval.trainers.estimate import estimate
        from babyeval.trainers.stages import recipe_of

        plan = estimate(recipe_of(stage, recipe), out)
        if json:
            print(plan.model_dump_json(indent=1))
        else:
            _print_estimate(plan)
        return
    from babyeval.progress import reporter
    from babyeval.trainers.devices import Devices
    from babyeval.trainers.stages import run_stage

    result = run_stage(stage, recipe, out, resume, reporter())
    if not Devices.of(os.environ).main:
        return
    if json:
        print(result.model_dump_json(indent=1))
    else:
        render.console().print(_result_table(stage, result))


def _result_table(stage: str, result: StageResult) -> object:
    from babyeval.cli import render

    shown = result.model_dump(mode="json", exclude_none=True, exclude={"stage", "validation"})
    rows = [(key.replace("_", " "), _readable(value)) for key, value in shown.items()]
    for name, loss in result.validation.items():
        more = f", perplexity {_readable(loss.perplexity)}" if loss.perplexity is not None else ""
        more += f", {_readable(loss.bits_per_word)} bits per word" if loss.bits_per_word is not None else ""
        more += f", margin {_readable(loss.margin)}, accuracy {_readable(loss.accuracy)}" if loss.margin is not None else ""
        rows.append((f"validation, {name}", f"loss {_readable(loss.loss)}{more}"))
    return render.simple_table(f"Stage {stage}", ("what", "value"), rows)


def _readable(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_readable(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_readable, value))
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _print_estimate(plan: Estimate) -> None:
    """Counts, then memory, then what should be known."""
    from rich.text import Text

    from babyeval.cli import render

    screen = render.console()
    shown = plan.model_dump(exclude={"schema_version", "unknown", "memory", "remarks"})
    words = {key: "unknown" if key in plan.unknown else "no limit" for key, value in shown.items() if value is None}
    rows = [(key.replace("_", " "), words.get(key) or _readable(value)) for key, value in shown.items()]
    screen.print(render.simple_table(f"{plan.condition}, seed {plan.seed}", ("what", "value"), rows[2:]))
    for reason in dict.fromkeys(plan.unknown.values()):
        screen.print(Text(f"Unknown: {reason}."))
    columns = ("devices", "ZeRO", "batch each", "weights", "gradients", "optimizer", "activations", "together", "")
    table = [
        (
            *(one.devices, "none" if one.zero is None else one.zero, one.micro_batch_size),
            *(f"{part:.3g}" for part in (one.weights, one.gradients, one.optimizer, one.activations, one.total)),
            "this recipe" if one.chosen else "",
        )
        for one in plan.memory
    ]
    screen.print(render.simple_table("Memory per device in GiB (activations estimated)", columns, table, range(8)))
    for line in plan.remarks:
        screen.print(Text(line))
