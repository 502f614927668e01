"""Public data sets and users' own files, each turned into recordings."""
