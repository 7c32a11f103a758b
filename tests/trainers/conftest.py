"""Lies here so that the tests in the folders below find the helpers beside it."""
