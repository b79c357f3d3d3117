"""The latency paper's Table 1, its poster's comparison, and series that were not generated."""
