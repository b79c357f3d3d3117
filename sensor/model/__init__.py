"""The contract with the trainer, and inference."""
