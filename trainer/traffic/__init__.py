"""Traffic class, bandwidth and duration of a flow from its first packets, with few labels."""
