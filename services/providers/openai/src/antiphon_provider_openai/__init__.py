"""OpenAI as a service: the chat-completions wire in its own dialect. Settings: antiphon_wires.openai_chat.service."""
