"""One variational network for several contrasts or anatomies: which layers they share."""
