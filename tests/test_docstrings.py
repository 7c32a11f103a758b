"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import babyeval.leaderboard
import babyeval.tasks
import babyeval.trainers
import pytest

import babyeval


def modules() -> list[str]:
    found = ["babyeval"]
    for package in (babyeval, babyeval.leaderboard, babyeval.tasks, babyeval.trainers):
        found += [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return sorted(name for name in set(found) if not name.endswith("__main__"))


def examples(name: str) -> list[doctest.DocTest]:
    module = importlib.import_module(name)
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


# Importing them all costs a few seconds, which only this file's tests should pay.
@pytest.mark.parametrize("name", modules())
def test_examples(name):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.FAIL_FAST)
    said: list[str] = []
    for test in examples(name):
        runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_there_are_examples():
    assert sum(bool(examples(name)) for name in modules()) > 10
