"""Made-up volumes in fastMRI's format, for trying things out where no real data is at hand."""
