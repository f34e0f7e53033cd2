"""Operators between k-space, coil images and images, and the masks that sample k-space."""
