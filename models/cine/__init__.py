"""Networks on cine series: images over y, x and time."""
