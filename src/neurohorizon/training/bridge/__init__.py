"""Fitting bridges: closed forms, contrastive training, and tuning them all with equal budgets."""
