"""OpenAI as a service: its two wires, Chat Completions and Responses. Settings: antiphon_provider_openai.settings."""
