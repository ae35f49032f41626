"""From a person's words to a run and its answer: conversation, closing answer, agent loop."""
