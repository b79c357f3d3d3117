"""Latency: noise, outages and swells in series of round-trip times.

N. Henderson and R. Durairajan, "Evaluating multi-task learning for Internet measurement
classification", University of Oregon; cited here as the latency paper.
"""
