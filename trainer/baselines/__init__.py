"""What the network has to beat."""
