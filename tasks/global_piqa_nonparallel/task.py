"""Global PIQA (non-parallel): lines of the same form as those of the parallel set, with two solutions."""

from __future__ import annotations

from babyeval.ranking import RankingTask

from ..global_piqa_parallel.task import criteria, decoder

task = RankingTask.beside(__file__, decoder("global_piqa_nonparallel"), criteria=criteria)
