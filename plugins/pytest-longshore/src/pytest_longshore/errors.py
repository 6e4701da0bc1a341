"""What goes wrong that is not the policy's fault."""


class LongshoreError(Exception):
    """The command is not there, the server did not start, or a question cannot be answered; the message says what to do."""
