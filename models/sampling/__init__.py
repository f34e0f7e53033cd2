"""Masks that are learned together with a network."""
