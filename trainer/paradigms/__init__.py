"""Ways to train one network for several tasks, one file each."""
