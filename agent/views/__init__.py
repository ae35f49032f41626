"""Records as HTML: the page of a run, and the pieces it is made of."""
