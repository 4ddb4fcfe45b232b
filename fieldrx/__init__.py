"""Continuous 3D refractive index from plain intensity images."""

from fieldrx._version import __version__

__all__ = ["__version__"]
