"""Any OpenAI-compatible server as a service: Ollama, vLLM, llama.cpp, LM Studio. Each is a row, none is a folder."""
