"""Make ``python -m neurohorizon`` the same as the ``neurohorizon`` command."""

from neurohorizon.cli.app import main

raise SystemExit(main())
