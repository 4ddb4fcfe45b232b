"""Tests compute on the CPU, or on the emulated GPU, also on a machine that has one."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before any test imports CuPy; programs that tests start inherit it
