"""Optional compiled kernels for training on the CPU, and their PyTorch twins: see functions.py and library.py."""
