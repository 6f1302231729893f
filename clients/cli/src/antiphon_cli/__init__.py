"""The antiphon command: ask, chat, providers, models, status."""
