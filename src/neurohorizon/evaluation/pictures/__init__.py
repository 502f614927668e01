"""How good pictures are: what they show, how like the true ones, and whether neighbours agree.

Pictures that were drawn from responses are compared with those that were seen
(:mod:`~neurohorizon.evaluation.pictures.scoring`), row by row of a table
(:mod:`~neurohorizon.evaluation.pictures.results`). A generator has no row before the oracle gate
(:mod:`~neurohorizon.evaluation.pictures.gate`).
"""
