"""Statistics over records; nothing here ever touches a model."""
