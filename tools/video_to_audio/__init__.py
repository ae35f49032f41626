"""The soundtrack of a video."""
