"""Reading times: decodes a row of the official table into a word in its sentence and how long people read it."""

from __future__ import annotations

from functools import partial

from babyeval.data.tables import read_csv
from babyeval.reading import COLUMNS, ReadingTask, reading_item

task = ReadingTask.beside(__file__, reading_item, read=partial(read_csv, columns=COLUMNS))
