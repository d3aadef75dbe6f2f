"""`python -m limelight.cli`, as the command `limelight`."""

from limelight.cli.main import main

main()
