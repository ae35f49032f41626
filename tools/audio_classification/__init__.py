"""The sounds in a recording, named."""
