"""The scoring engine: spans become queries, queries become rows of log-probabilities."""

# Part of every cached row's key: rises when a row may change for the same question.
SCORING_VERSION = 1
