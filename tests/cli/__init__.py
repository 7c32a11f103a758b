"""Tests of the command line and of what only whole runs show."""
