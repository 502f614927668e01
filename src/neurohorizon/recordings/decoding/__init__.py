"""What decoders read: tasks, the windows around them, batches of both."""
