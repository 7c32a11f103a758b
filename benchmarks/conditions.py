"""Makes the study of training conditions that docs/how-to-report.md shows, from raw text to its table and figure:

    python -m benchmarks.conditions --corpus text --data-dir evaluation_data --out study [--seeds 3] [--write-docs]

For each seed it trains the tiny model and tunes it in three ways, evaluates all of them on the fast zero-shot sets that lie in
the data folder, and compares the conditions over their seeds. What is there already is not made again. With --write-docs the
page's block, its figure and its figures in JSON are replaced; else they go into the output folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.data.lookup import find_data
from babyeval.errors import MissingError, UsageError
from babyeval.registry import get_task, resolve_tasks
from babyeval.store import atomic_path

if TYPE_CHECKING:
    from babyeval.comparison.designs import PlanRow
    from babyeval.comparison.report import CompareReport, ComparisonRow
    from babyeval.comparison.zscores import ZScores

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs/how-to-report.md"
FIGURE, FIGURES = "conditions-tiny.svg", "conditions-tiny.json"
BEGIN, END = "<!-- conditions: begin -->", "<!-- conditions: end -->"
RECIPES = {  # the parent first: the others go on from its seed of the same number
    "pretrained": ("pretrain", "tiny"),
    "it_merged": ("instruct", "tiny-merged"),
    "it_switch_wiki": ("instruct", "tiny-switch-wiki"),
    "it_wiki_switch": ("instruct", "tiny-wiki-switch"),
}
PLAN = (3, 5, 10)


def main() -> None:
    """Trains, evaluates, compares, and writes."""
    arguments = parse_arguments()
    for command in training(arguments):
        run(command)
    run(evaluation(arguments))
    report = compared(arguments)
    folders = (REPOSITORY / "docs/figures", REPOSITORY / "benchmarks/results") if arguments.write_docs else (arguments.out,) * 2
    write_json(report, folders[1] / FIGURES)
    drawn = draw(report, folders[0] / FIGURE)
    text = block(report, arguments, drawn)
    if arguments.write_docs:
        write(PAGE, replaced(PAGE.read_text(encoding="utf-8"), text))
    else:
        print(text)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="raw text, as 'babyeval train' takes it")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder in the official evaluation_data layout")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints go into its folder runs, records into study")
    parser.add_argument("--seeds", type=int, default=3, help="training seeds of each condition, from 0 on")
    parser.add_argument("--split", default="fast", choices=["full", "fast", "mini"])
    parser.add_argument("--write-docs", action="store_true", help="replace the block of docs/how-to-report.md")
    return parser.parse_args()


def training(arguments: argparse.Namespace) -> list[list[str]]:
    """The commands that train, parents before what goes on from them."""
    where = ["--corpus", str(arguments.corpus), "--out", str(arguments.out / "runs")]
    return [
        ["train", verb, recipe, *where, "--set", f"seed={seed}", "--set", "logging.report_to=[]", "--resume"]
        for seed in range(arguments.seeds)
        for condition, (verb, recipe) in RECIPES.items()
        if not (arguments.out / "runs" / condition / f"seed_{seed}" / "final" / "babyeval.json").is_file()
    ]


def evaluation(arguments: argparse.Namespace) -> list[str]:
    """The command that evaluates all checkpoints on the zero-shot tasks whose data is there."""
    paths = [arguments.out / "runs" / name / f"seed_{seed}" / "final" for name in RECIPES for seed in range(arguments.seeds)]
    models = [word for path in paths for word in ("--model", str(path))]
    tasks = ",".join(tasks_at_hand(arguments.data_dir, arguments.split))
    where = ["--data-dir", str(arguments.data_dir), "--out", str(arguments.out / "study")]
    return ["run", *models, "--tasks", tasks, "--split", arguments.split, *where]


def tasks_at_hand(data_dir: Path, split: str) -> list[str]:
    """The zero-shot tasks whose data lies in the folder; age of acquisition asks for many checkpoints of a run."""
    found = []
    for task in resolve_tasks(["zero-shot"]):
        try:
            find_data(task.card, get_task(task.card.name).home, split, data_dir)
        except (MissingError, UsageError):
            continue
        if task.card.family != "acquisition":
            found.append(task.card.name)
    return found


def run(command: Sequence[str]) -> None:
    """Runs babyeval as a process, and ends where it fails."""
    print("babyeval", *command, file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-m", "babyeval", *command], cwd=REPOSITORY, stdout=sys.stderr, check=False)  # noqa: S603 - own command
    if done.returncode:
        sys.exit(done.returncode)


def compared(arguments: argparse.Namespace) -> CompareReport:
    """The conditions over their seeds, with CLASS-IT's planned contrasts."""
    import babyeval

    study, words = arguments.out / "study", {"split": arguments.split, "plan": PLAN}
    return babyeval.compare(study, *RECIPES, by="condition", baseline="pretrained", **words)


def write_json(report: CompareReport, path: Path) -> None:
    """All numbers."""
    assert report.z is not None
    whole = {
        "rows": [row.model_dump(mode="json") for row in report.rows],
        "plan": [row.model_dump(mode="json") for row in report.plan],
        "z": json.loads(report.z.to_frame().to_json(orient="records")),
        "paragraphs": report.paragraphs, "choices": report.choices, "notes": report.warnings,
    }  # fmt: skip
    write(path, json.dumps(whole, indent=1) + "\n")


def draw(report: CompareReport, path: Path) -> bool:
    """The box plots, where a task tells the conditions apart."""
    from babyeval.comparison.figure import write_box_plots

    assert report.z is not None
    if report.z.found.z.empty:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_box_plots(report.z, path)
    return True


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def block(report: CompareReport, arguments: argparse.Namespace, drawn: bool) -> str:
    """What the page shows: means, contrasts, sentences, z-scores and plans."""
    from babyeval.comparison.sentences import NO_VERDICT

    assert report.z is not None
    planned, pairs = ([row for row in report.rows if bool(row.contrast) is told] for told in (True, False))
    seeds = f"{arguments.seeds} training seed{'s' * (arguments.seeds > 1)}"
    parts = [
        f"Means over {seeds} of each condition, with the standard error over seeds:",
        means_table(report.z, {row.label: row.unit_of_value for row in report.rows}),
        "The planned contrasts:",
        contrast_table(planned),
        *remarks(
            planned, "Intervals and the power in the last column are of one test each, not adjusted for how many there are."
        ),
        "What `compare` says of them:",
        *(f"> **{name}**: {text}" for name, text in zip(contrasts_of(report), report.paragraphs, strict=True) if name),
        against_baseline(pairs),
        *remarks(pairs),
    ]
    if drawn:
        parts.append(f"![z-scores of the conditions](figures/{FIGURE})")
    parts += [report.z.title + ":", z_table(report.z), "\n".join(f"* {line}" for line in report.z.remarks)]
    parts += [
        "The least difference of two conditions that a study would find, from the spread of these seeds:",
        plan_table(report),
        *remarks(
            report.plan, f"{NO_VERDICT[0].upper()}{NO_VERDICT[1:]}: the first column is where p would be small." * (min(PLAN) < 4)
        ),
        "\n".join(f"* {line[0].upper()}{line[1:]}." for line in report.warnings),
        f"{origin(arguments)}Tasks are the zero-shot ones whose data was at hand; age of acquisition, which takes the checkpoints of "
        "a longer training, is not among them.",
    ]
    parts.append(f"{' '.join(report.choices)} All numbers: [{FIGURES}](../benchmarks/results/{FIGURES}).")
    return "\n\n".join(part for part in parts if part)


def remarks(rows: Sequence[ComparisonRow | PlanRow], first: str = "") -> list[str]:
    """What a reader must know of single rows, what holds of several once, behind what holds of all."""
    from babyeval.comparison.sentences import notes_of

    told = {note: ", ".join(f"`{label}`" for label in labels) for note, labels in notes_of(rows).items()}
    everywhere = ", ".join(f"`{label}`" for label in dict.fromkeys(row.label for row in rows))
    lines = [f"{'All' if labels == everywhere else labels}: {note}." for note, labels in told.items()]
    return [" ".join(filter(None, [first, *lines]))]


def origin(arguments: argparse.Namespace) -> str:
    """Of what text the models were trained, as the first of them knows it."""
    path = arguments.out / "runs" / next(iter(RECIPES)) / "seed_0" / "final" / "babyeval.json"
    if not path.is_file():
        return ""
    known = json.loads(path.read_text(encoding="utf-8"))
    domains = ", ".join(name for name in known.get("validation", {}) if name != "all")
    words = known["recipe"]["data"]["words"]
    return f"Trained on a sample of {words:,} words ({domains}; digest `{known['corpus_digest'][:12]}`). "


def contrasts_of(report: CompareReport) -> list[str | None]:
    """Of which planned contrast each paragraph is."""
    return [key[0] for key in dict.fromkeys((row.contrast, row.a, row.b) for row in report.rows)]


def against_baseline(rows: Sequence[ComparisonRow]) -> str:
    """How many of the plain pairs are told apart, and what that is worth."""
    tested = [row for row in rows if row.p_adjusted is not None]
    if not tested:
        return "No test of the tuned conditions against the parent is possible."
    below = [row for row in tested if row.p_adjusted is not None and row.p_adjusted < 0.05]
    which = "; ".join(f"{row.label}: {row.a} minus {row.b} {signed(row.difference, row)}" for row in below)
    few = " So few seeds support no verdict: p rests on normality." if any(row.out_of_reach for row in below) else ""
    return (
        f"Against the parent, {len(below)} of {tested[0].family} have a Holm-adjusted p below .05"
        f"{f' ({which})' if which else ''}.{few}"
    )


def means_table(z: ZScores, units: Mapping[str, str]) -> str:
    """Scores x conditions."""
    from babyeval.comparison.sentences import number

    conditions = [str(name) for name in z.means.index]
    rows = []
    for task in map(str, z.means.columns):
        cells = [
            f"{number(z.means[task][name], units[task])} ± {number(z.errors[task][name], units[task])}" for name in conditions
        ]
        rows.append([f"`{task}`", *cells])
    return table(["", *(f"`{name}`" for name in conditions)], rows)


def contrast_table(rows: Sequence[ComparisonRow]) -> str:
    """One line per contrast and score."""
    from babyeval.comparison.sentences import number, p_value

    lines = []
    for row in rows:
        unit = row.unit_of_value
        interval = f"{number(row.ci_low, unit)} to {number(row.ci_high, unit)}" if row.ci_low is not None else "undefined"
        p = (p_value(row.p), p_value(row.p_permutation), p_value(row.p_adjusted))
        lines.append([row.contrast or "", f"`{row.label}`", signed(row.difference, row), interval, *p, number(row.mde, unit)])
    head = ["contrast", "score", "difference", "95% interval", "p", "p by permutation", "p adjusted", "found with 80% power from"]
    return table(head, lines)


def signed(value: float | None, row: ComparisonRow) -> str:
    """A difference with its sign."""
    from babyeval.comparison.sentences import number

    return number(value, row.unit_of_value, sign=True)


def z_table(z: ZScores) -> str:
    """Median, quartiles and rank of each condition."""
    head, lines = z.table()
    return table(head, lines)


def plan_table(report: CompareReport) -> str:
    """The least detectable difference by number of seeds."""
    from babyeval.comparison.sentences import number

    lines = [
        [f"`{row.label}`", number(row.sd, row.unit_of_value), *(number(v, row.unit_of_value) for v in row.mde.values())]
        for row in report.plan
    ]
    return table(["score", "SD between seeds", *(f"{count} seeds each" for count in PLAN)], lines)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replaced(page: str, text: str) -> str:
    """The page with another block between its marks.

    Raises:
        UsageError: The page has no such block.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError("The page has no block to replace.", where=str(PAGE), hint=f"Put in {BEGIN} and {END}.")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


if __name__ == "__main__":
    main()
