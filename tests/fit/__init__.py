"""Tests of fine-tuning; a package, since other folders have files of the same names."""
