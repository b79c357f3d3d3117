"""Captures and labels to rows, splits and training tensors."""
