"""Reads CLAMS files: a line ``True<TAB>sentence``, then its partner ``False<TAB>sentence``."""

from collections.abc import Iterator

from babyeval import DataFile, RankingTask, Record, Span, ranking_item
from babyeval.errors import DataError


def read(file: DataFile) -> Iterator[Record]:
    """Makes a record of every two lines."""
    good = None
    with file.open() as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{file.place}, line {number}"
            label, _, sentence = line.decode("utf-8").strip().partition("\t")
            if label != ("False" if good else "True") or not sentence:
                raise DataError("The lines do not alternate between True and False.", where=where)
            if good:
                yield Record({"sentence_good": good, "sentence_bad": sentence}, where, file.stem)
            good = None if good else sentence
    if good:
        raise DataError("The last sentence has no partner: the file may be truncated.", where=file.place)


def decode(record: Record):
    """One minimal pair; the file's name says which construction it is."""
    spans = [Span(record.text("sentence_good")), Span(record.text("sentence_bad"))]
    return ranking_item(record, subset=record.stem, spans=spans)


task = RankingTask.beside(__file__, decode, read=read)
