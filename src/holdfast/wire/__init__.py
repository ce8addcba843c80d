"""Bytes to objects and back, one file per format, bounded, without decisions."""
