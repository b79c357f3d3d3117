"""Networks as Keras layers."""
