"""Anthropic's Messages API as a service. `codec` is pure: bytes in, events out. Settings: `settings`."""
