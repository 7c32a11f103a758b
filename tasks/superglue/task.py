"""The seven (Super)GLUE tasks of the BabyLM suite: a card says everything about each."""

from __future__ import annotations

from babyeval.fit.task import FitTask

boolq = FitTask.beside(__file__, "boolq.card.toml")
mnli = FitTask.beside(__file__, "mnli.card.toml")
mrpc = FitTask.beside(__file__, "mrpc.card.toml")
multirc = FitTask.beside(__file__, "multirc.card.toml")
qqp = FitTask.beside(__file__, "qqp.card.toml")
rte = FitTask.beside(__file__, "rte.card.toml")
wsc = FitTask.beside(__file__, "wsc.card.toml")
