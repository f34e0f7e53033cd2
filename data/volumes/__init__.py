"""Volumes on disk: their formats, splits and order, and the slices that a network is fed with."""
