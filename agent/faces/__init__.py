"""Where people and programs meet hopline: the command line."""
