"""The command line: one file a verb, no knobs, no logic.

A verb reads its arguments, calls the library and prints what came back. The table of
verbs is :data:`neurohorizon.cli.app.VERBS`; a verb's file is imported when it is called.
"""
