"""Packet blocks to columns of header fields."""
