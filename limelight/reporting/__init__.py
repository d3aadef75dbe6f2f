"""Evaluations as reports, and the reports of all as one leaderboard with a champion of each task."""
