"""WUG past tense: lines of the same form as those of the adjective task."""

from __future__ import annotations

from babyeval.rating import RatingTask

from ..wug_adj.task import decoder

task = RatingTask.beside(__file__, decoder("wug_past_tense"))
