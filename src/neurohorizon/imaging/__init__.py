"""Pictures, frozen image encoders, and banks of image embeddings."""
