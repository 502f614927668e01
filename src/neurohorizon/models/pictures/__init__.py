"""Small networks that look at pictures: an encoder trained here, and a judge of what is shown."""
