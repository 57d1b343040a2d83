"""What the checks print."""

import time
from collections.abc import Iterable


class Report:
    """Prints what passed and what failed, one check at a time."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def record(self, name: str, problems: Iterable[str]) -> None:
        started = time.monotonic()
        found = list(problems)
        took = time.monotonic() - started
        print(
            f"{'FAILED' if found else 'ok':6} {name}{f' ({took:.1f} s)' if took >= 1 else ''}",
            flush=True,
        )
        for problem in found:
            print(f"       {problem}", flush=True)
        if found:
            self.failed += 1
        else:
            self.passed += 1

    def end(self) -> int:
        """Prints the sums, and returns the exit code."""
        print(f"\n{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0
