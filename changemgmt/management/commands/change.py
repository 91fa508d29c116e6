"""`manage.py change …`: draft, ask, decide, do and close a change."""

from argparse import ArgumentParser

from changemgmt.management.acting import ActingCommand
from changemgmt.management.change.arguments import add_acts
from changemgmt.management.change.call import HOW


class Command(ActingCommand):
    name = "change"
    help = f"Works on changes, through the same rules as the pages and the API. {HOW}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_acts(parser)
