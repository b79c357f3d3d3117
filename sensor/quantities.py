"""Counts and durations, as people are told them everywhere."""


def duration(seconds: float) -> str:
    """A duration to the precision that people want."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def number(count: int, noun: str) -> str:
    """A count with its noun, such as ``1,234 flows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
