"""Sends the alerts of a log to other machines: a process of its own, which the sensor knows not."""
