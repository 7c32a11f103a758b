"""The official BabyLM files: the submission file out of a results folder, and official results into records."""
