"""What is handed out of a book: a worklist as a file, and a digest for whoever looks after it."""
