"""Training a small image encoder from pictures at hand, and the judge of drawn pictures."""
