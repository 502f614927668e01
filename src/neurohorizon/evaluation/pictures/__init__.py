"""What pictures show, by a judge, and whether an embedding's neighbours show the same."""
