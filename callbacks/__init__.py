"""What a run records and shows: one hook, one piece of maths called, one thing logged; one callback a file."""
