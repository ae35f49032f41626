"""Reading English text for facts: words, numerals, dates, names, phrases."""
