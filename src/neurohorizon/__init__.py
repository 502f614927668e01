"""Forecast, decode and see: models of neural population recordings.

The package is a house with one room per noun (``recordings``, ``models``,
``evaluation``, ...); each verb of the command line lives in ``cli``. Importing the
package itself is light: nothing heavy is loaded until a room is entered.
"""

__version__ = "0.1.0"
