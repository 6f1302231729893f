"""I/O around the core: channels, health streams, clocks and dice live here, decisions do not."""
