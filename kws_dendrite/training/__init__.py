"""Training a population of seeds, with or without growth; checkpoints."""
