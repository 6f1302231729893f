"""A scripted upstream that speaks OpenAI's chat dialect, as a process of its own with an append-only witness log."""
