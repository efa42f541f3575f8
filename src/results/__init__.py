"""What runs ended in, as tables: read, counted and compared; nothing here trains."""
