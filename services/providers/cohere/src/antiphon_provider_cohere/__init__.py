"""Cohere as a service: the v2 API (chat, embed, rerank) in the contract's words. Settings: see settings."""
