"""Decoded headers to rows of packets per flow."""
