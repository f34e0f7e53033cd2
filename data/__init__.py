"""Where samples come from: k-space operators, volumes on disk, simulation."""
