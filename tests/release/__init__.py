"""Checks of the archives of a release: see tests/release.sh."""
