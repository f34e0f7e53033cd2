"""Training on several devices: a process for each GPU, or one network over two of them."""
