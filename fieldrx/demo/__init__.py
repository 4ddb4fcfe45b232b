"""The demonstration: examples whose truth is known, simulated, reconstructed and compared with it."""

from fieldrx.demo.run import Outcome, run_demo
from fieldrx.demo.samples import LICENCE, SAMPLES, Sample, demo_acquisition, sample_called

__all__ = ["LICENCE", "SAMPLES", "Outcome", "Sample", "demo_acquisition", "run_demo", "sample_called"]
