"""Tables of points: what is written is read again."""

import io

import numpy as np
import pytest

from fieldrx import InputError
from fieldrx.points import read_points, write_points

ZYX = np.array([[0.1, -2.5, 1e-9], [3.0, 1 / 3, 40.0]])


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "p.csv"
    with open(path, "w", newline="") as file:
        write_points(file, ZYX, {"n": np.array([1.33 + 0.01j, 1.34]), "std": np.array([1e-3, 2e-3j])})
    assert np.array_equal(read_points(path), ZYX)
    first, line, _ = path.read_text().splitlines()
    assert first == "z_um,y_um,x_um,n_real,n_imag,std_real,std_imag"
    assert line == "0.1,-2.5,1e-09,1.330000000,0.010000000,0.001000000,0.000000000"


def test_no_points(tmp_path):
    file = io.StringIO()
    write_points(file, np.empty((0, 3)), {"n": np.empty(0, complex)})
    (tmp_path / "p.csv").write_text(file.getvalue())
    assert read_points(tmp_path / "p.csv").shape == (0, 3)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file; expected table of points"):
        read_points(tmp_path / "p.csv")


def test_what_spreadsheets_write_is_read(tmp_path):
    (tmp_path / "p.csv").write_bytes('Z_um;Y_um;X_um;note\r\n0,5;1;-2;"a;\r\nb"\r\n'.encode("utf-16"))
    assert read_points(tmp_path / "p.csv").tolist() == [[0.5, 1, -2]]
