"""Text, drawn."""
