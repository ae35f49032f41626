"""A question about a picture, answered."""
