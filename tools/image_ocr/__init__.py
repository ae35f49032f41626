"""Text in a picture, written out."""
