"""``python -m statsig_staging``."""

from statsig_staging.cli import main

raise SystemExit(main())
