"""Still pictures out of a video."""
