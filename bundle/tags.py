"""Prints what wheels have to fit, as far as it tells machines apart: the system, the processor and the Python."""

import platform
import sys

print(platform.system().lower(), platform.machine(), f"cp{sys.version_info[0]}{sys.version_info[1]}")
