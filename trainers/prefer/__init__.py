"""Preference tuning (DPO): pairs of replies, the parent's probabilities of them, and the training."""
