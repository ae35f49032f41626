"""Who calls, what happened, what was lost."""
