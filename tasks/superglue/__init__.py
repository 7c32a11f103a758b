"""The (Super)GLUE tasks of the BabyLM suite, on which a checkpoint is fine-tuned."""
