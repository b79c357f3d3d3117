"""What reads back what runs have written: alerts, evidence, status."""
