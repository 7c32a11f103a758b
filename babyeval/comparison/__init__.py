"""Comparing models and training conditions from the records that runs left behind.

The package is not named ``compare``: `babyeval.compare` is the function, which a module of that name would hide.
"""
