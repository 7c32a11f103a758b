"""Tests of official files: the submission file and the import of official results."""
