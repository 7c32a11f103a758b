"""The leaderboard page: records of a results folder on one HTML page that needs nothing else."""
