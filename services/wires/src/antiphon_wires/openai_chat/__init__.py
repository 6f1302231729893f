"""The chat-completions wire: spoken by openai, deepseek, every compatible server, and in-process by local.

`codec` is pure: bytes in, events out. `adapter` does the I/O and needs the extra `antiphon-wires[openai]`.
"""
