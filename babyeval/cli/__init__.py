"""The command line: one file per verb; it parses, calls and prints."""
