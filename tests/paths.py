"""Paths that tests use."""
from pathlib import Path

ROOT = Path(__file__).parents[1]                # the repository
GOLDEN = Path(__file__).parent / "golden"       # numbers recorded from the real darknet
SHARED = ROOT.parent / "shared"                 # larger data; tests that need it are skipped without
