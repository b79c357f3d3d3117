"""What a run knows of itself: counters, coverage, blindness, drift, status and metrics."""
