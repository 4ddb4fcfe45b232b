"""CUDA C++ sources of fieldrx, shipped as package data (``fieldrx.kernels``)."""
