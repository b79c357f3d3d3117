"""Lifecycle of the running sensor: signals, readiness, health."""
