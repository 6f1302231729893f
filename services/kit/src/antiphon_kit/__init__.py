"""What every Antiphon service needs and none should write. Knows no vendor, no program and no wire."""
