"""What a task is: frozen values that name columns, labels and splits. No I/O and no torch in this room."""
