"""What models say of flows that is no alert: classes, and whether they were right."""
