"""Shorter versions of texts."""
