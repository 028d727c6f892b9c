"""What a plain graph will cost on a microcontroller: instructions, cycles, flash and RAM, from a measured table."""

from kws_dendrite.plain.device.kernels import ISAS
from kws_dendrite.plain.device.predict import DeviceCost, OperatorCost, predict

CORES = tuple(ISAS)

__all__ = ["CORES", "DeviceCost", "OperatorCost", "predict"]
