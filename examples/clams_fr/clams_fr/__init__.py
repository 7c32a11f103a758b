"""French subject-verb agreement as a task for babyeval."""
