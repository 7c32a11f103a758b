"""Official predictions: the texts of chosen candidates out of item tables, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from babyeval.errors import DataError
from babyeval.official.parts import Part
from babyeval.types import Item, Outcome

# {UID: {"predictions": [{"id": "UID_k", "pred": text}, ...]}}
Predictions = dict[str, dict[str, list[dict[str, Any]]]]


def uid_of(part: Part, item: Item) -> str:
    """The key under which an item's prediction stands."""
    return item.meta["example_id"] if part.by_example else item.subset


def candidate_text(part: Part, item: Item, index: int) -> str:
    """What the official pipeline writes if this candidate is chosen."""
    span = item.spans[index]
    return span.text if part.sentence else span.text[span.start :]


def make_predictions(part: Part, items: Iterable[Item], chosen: Mapping[str, tuple[int, float]]) -> Predictions:
    """The predictions of a task in the official form.

    Args:
        part: How this year writes them.
        items: The items in file order.
        chosen: For each item's id the index of the chosen span and the item's value.

    Raises:
        DataError: An item has no prediction.
    """
    predictions: Predictions = {}
    for item in items:
        uid = uid_of(part, item)
        block = predictions.setdefault(uid, {"predictions": []})["predictions"]
        if item.id not in chosen:
            raise DataError(
                "An item of the data has no prediction in the record's table.",
                where=f"{part.task}, item {item.id}",
                hint="Run the task again: its rows are cached.",
            )
        index, value = chosen[item.id]
        entry: dict[str, Any] = {"id": f"{uid}_{len(block)}", "pred": candidate_text(part, item, index)}
        if part.prob:
            entry["prob"] = value
        block.append(entry)
    return predictions


def counted(predictions: Predictions) -> dict[str, int]:
    """Number of predictions of each UID."""
    return {uid: len(block["predictions"]) for uid, block in predictions.items()}


def checked_predictions(content: Any, where: str) -> Predictions:
    """The content of an official file, if it has the form of predictions.

    Raises:
        DataError: It has another form.
    """
    blocks = content.items() if isinstance(content, dict) and content else ()
    for uid, block in blocks:
        entries = block.get("predictions") if isinstance(block, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
            raise DataError(
                f"The predictions of '{uid}' are not a list of entries with ids.",
                where=where,
                hint='The official form is {UID: {"predictions": [{"id": "UID_k", "pred": text}, ...]}}.',
            )
    if not blocks:
        raise DataError("The file holds no predictions.", where=where, hint="Was it written with --save_predictions?")
    return dict(blocks)


def matched_outcomes(part: Part, items: Sequence[Item], predictions: Predictions, where: str) -> list[Outcome]:
    """What official predictions are worth: their texts are compared with the candidates', stripped, as the server does.

    Args:
        part: How this year writes them.
        items: The items in file order.
        predictions: For each UID its predictions; ids are ``UID_k``, k counting from 0 in file order.
        where: The file, for errors.

    Returns:
        One outcome per item: a credit, or the stated probability where the task rates forms.

    Raises:
        DataError: An id is missing, unknown or there twice, or a text is none of the candidates.
    """
    by_uid: dict[str, list[Item]] = {}
    for item in items:
        by_uid.setdefault(uid_of(part, item), []).append(item)
    entries = _by_id(by_uid, predictions, where)
    outcomes = []
    for uid, members in by_uid.items():
        outcomes += [_outcome(part, item, entries[uid][k], f"{where}, {uid}_{k}") for k, item in enumerate(members)]
    order = {outcome.item_id: outcome for outcome in outcomes}
    return [order[item.id] for item in items]


def _by_id(by_uid: Mapping[str, Sequence[Item]], predictions: Predictions, where: str) -> dict[str, list[dict[str, Any]]]:
    """For each UID its entries in the order of their ids, each there exactly once."""
    names = {uid.lower(): uid for uid in by_uid}  # the official code compares UIDs in lower case
    found: dict[str, dict[str, dict[str, Any]]] = {uid: {} for uid in by_uid}
    for given, block in predictions.items():
        uid = names.get(given.lower())
        if uid is None:
            raise DataError(f"The data has no UID '{given}'.", where=where, hint="Do the year (--protocol) and the data fit?")
        wanted = {f"{uid}_{k}".lower() for k in range(len(by_uid[uid]))}
        for entry in block["predictions"]:
            name = str(entry["id"])
            if name.lower() in found[uid]:
                raise DataError(f"The id '{name}' is declared twice.", where=f"{where}, UID {uid}", hint="Evaluate again.")
            if name.lower() not in wanted:
                raise DataError(
                    f"The id '{name}' is unknown: the data has {len(wanted):,} items of this UID.",
                    where=f"{where}, UID {uid}",
                    hint="Do the year (--protocol), the split and the data fit?",
                )
            found[uid][name.lower()] = entry
    for uid, members in by_uid.items():
        missing = next((f"{uid}_{k}" for k in range(len(members)) if f"{uid}_{k}".lower() not in found[uid]), None)
        if missing:
            raise DataError(
                f"The id '{missing}' is missing: {len(found[uid]):,} predictions for {len(members):,} items.",
                where=f"{where}, UID {uid}",
                hint="Do the year (--protocol), the split and the data fit?",
            )
    return {uid: [found[uid][f"{uid}_{k}".lower()] for k in range(len(members))] for uid, members in by_uid.items()}


def _outcome(part: Part, item: Item, entry: Mapping[str, Any], where: str) -> Outcome:
    candidates = part.candidates or range(len(item.spans))
    pred = entry.get("pred")
    text = pred.strip() if isinstance(pred, str) else None
    fitting = [i for i in candidates if candidate_text(part, item, i).strip() == text]
    if not fitting:
        raise DataError(
            f"The prediction is none of the item's candidates: {str(pred)[:80]!r}.",
            where=where,
            hint="Do the year (--protocol) and the data fit? Was the file made from other data, or in another order?",
        )
    if part.prob:
        prob = entry.get("prob")
        if isinstance(prob, bool) or not isinstance(prob, int | float):
            raise DataError(
                "The prediction has no number 'prob'.", where=where, hint="Evaluate again with the final 2025 pipeline."
            )
        return Outcome(item.id, float(prob), (), fitting[0])
    gold = int(item.gold)
    return Outcome(item.id, float(gold in fitting), (), gold if gold in fitting else fitting[0])
