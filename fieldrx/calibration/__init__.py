"""Where the light really came from, found from the images themselves."""

from fieldrx.board import Board
from fieldrx.calibration.calibrate import Calibration, calibrate
from fieldrx.calibration.files import check_target, picture, toml_text, write_calibrated

__all__ = ["Board", "Calibration", "calibrate", "check_target", "picture", "toml_text", "write_calibrated"]
