"""Scores to incidents, incidents to EVE alerts."""
