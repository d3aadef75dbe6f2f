"""Evaluation reports, and a leaderboard that compares them and names a champion per task."""
