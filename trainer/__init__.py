"""MULTA trainer: labelled captures in, a model bundle out."""
