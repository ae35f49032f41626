"""Backends of `text_to_audio`."""
