"""Forms in which others write latency series down, one file each."""
