"""Capture by several processes."""
