"""How fast mrsweep is on this machine: `python -m benchmarks`."""
