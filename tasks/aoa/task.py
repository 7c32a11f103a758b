"""Age of acquisition: words behind their contexts, checkpoint by checkpoint, against the ages at which children say them."""

from __future__ import annotations

from babyeval.acquisition import AcquisitionTask

task = AcquisitionTask.beside(__file__)
"""See README.md in this folder."""
