"""Speech in a recording, written out."""
