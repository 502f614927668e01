"""Training networks that draw pictures: a direct decoder, and a flow that embeddings tell."""
