"""What happened: records, the journal that keeps them, and what is done with stored runs."""
