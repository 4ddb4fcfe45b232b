"""Tests compute on the CPU, or on the emulated GPU, also on a machine that has one."""

import os
import signal

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before any test imports CuPy; programs that tests start inherit it

# Where tests run in the background a shell has Ctrl-C ignored, which programs that they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
