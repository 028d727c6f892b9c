"""Edge Impulse: bring your own model, its Studio through the official SDK."""
