"""The built-in benchmarks, one folder each; installed as babyeval.tasks."""
