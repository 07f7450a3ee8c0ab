"""The daemon: supervisor, inference process, events and what carries them away."""
