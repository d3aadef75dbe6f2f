"""The package's version, also where it is not installed, as in a bento."""

__version__ = "0.1.0"
