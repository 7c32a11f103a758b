"""Opening checkpoints: where they are, what kind they are, and what their tokenizer does."""
