"""Owns the Responses wire: POST /responses as OpenAI and servers that imitate it speak it.

https://developers.openai.com/api/reference/resources/responses, as typed by openai 3.57 (2026-11).
"""
