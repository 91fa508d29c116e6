"""How a line of the log is written."""

import logging

from changemgmt.core.masking import masked


class Line(logging.Formatter):
    """A line without the secrets that stand in the addresses of some pages."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))
