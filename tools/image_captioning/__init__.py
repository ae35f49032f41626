"""A picture, described."""
