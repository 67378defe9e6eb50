"""Where the tests find things."""
from pathlib import Path

ROOT = Path(__file__).parents[1]                # of the repository
GOLDEN = Path(__file__).parent / "golden"       # what the real darknet computed
SHARED = ROOT.parent / "shared"                 # larger data beside the repository; tests that need it skip without
