"""Surprisal of a user's own texts: reading them, cutting them into words, and the table that comes out."""
