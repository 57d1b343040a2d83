"""Turns the template into that of a release: its functions' code lies beside it, in zip archives
for one architecture. The rest of the text stays as it is.
usage: template.py ARCHITECTURE <template.yaml >released.yaml"""

import re
import sys

BUILT_HERE = "    CodeUri: ..\n"
FUNCTION = re.compile(
    r"(    Metadata:\n      BuildMethod: rust-cargolambda\n"
    r"      BuildProperties: \{ Binary: (\w+) \}\n    Properties:\n)"
)
ARCHITECTURE = re.compile(r"(  Architecture:\n    Type: String\n    Default: )arm64\n    AllowedValues: .*\n")


def main() -> None:
    architecture = sys.argv[1]
    template = sys.stdin.read()
    if template.count(BUILT_HERE) != 1:
        sys.exit("the template names the code in another way")
    template = template.replace(BUILT_HERE, "")
    template, functions = FUNCTION.subn(
        lambda found: f"    Properties:\n      CodeUri: functions/{found[2]}.zip\n", template
    )
    template, architectures = ARCHITECTURE.subn(
        lambda found: f"{found[1]}{architecture}\n    AllowedValues: [{architecture}]\n", template
    )
    if (functions, architectures) != (4, 1):
        sys.exit(f"the template has {functions} functions and {architectures} architectures")
    sys.stdout.write(template)


main()
