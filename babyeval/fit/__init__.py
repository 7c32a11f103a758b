"""Fine-tuning of a checkpoint on classification tasks."""

FIT_VERSION = 4  # rises whenever a fit may come out otherwise: earlier records and states are then not gone on with
