"""Text, spoken."""
