"""One call under way: its rounds, its look-ups, its race, and what it hands back."""
