"""The recipes that come with babyeval; each is a condition of a study in one TOML file."""
