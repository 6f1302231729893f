"""A scripted stand-in for a vendor: real HTTP, exact bytes, any fault on demand, and a witness of what it saw."""
