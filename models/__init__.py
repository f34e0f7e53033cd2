"""Networks for accelerated MRI, their losses and quality metrics, and how they are trained."""
