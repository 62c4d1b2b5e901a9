"""What a user can put right."""


class InputError(ValueError):
    """Wrong input of any kind: the message is one line that says what is wrong and what would be right.

    Every error class of the suite that a user can put right derives from it; the command line prints the line and ends
    with exit code 2. Anything else is a defect of ours and shows its traceback.
    """


class DamagedFileError(InputError):
    """A file that cannot be read, or that is not of the expected kind; the message is one line and names it."""


class MachineError(InputError):
    """More than this machine gives, or something that it refuses: disk, memory, permissions, processes."""
