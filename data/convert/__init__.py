"""From other formats to those that training reads, and what is added to files once: coil sensitivities and GRAPPA images."""
