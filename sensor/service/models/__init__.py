"""The store of models, and installing into it."""
