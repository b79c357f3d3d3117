"""Ways to weight the losses of tasks against each other, one file each."""
