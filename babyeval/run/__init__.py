"""The way of a run: plan, execute, aggregate, write."""
