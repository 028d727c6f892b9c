"""The roof: one file a command, each a typed function that composes rooms."""
