"""Benchmark data: where it lies and how it is read."""
