"""The embedded warehouse."""
