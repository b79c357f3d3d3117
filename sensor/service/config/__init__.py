"""The configuration: its keys, their values, reading, checking and showing it."""
