"""What a plain graph will cost on a microcontroller: instructions, cycles, flash and RAM, from a measured table."""

from kws_dendrite.plain.device.kernels import ISAS
from kws_dendrite.plain.device.predict import MODELLED, DeviceCost, OperatorCost, predict

CORES = tuple(ISAS)
LATENCY_CORES = (MODELLED,)  # those with a model of cycles

__all__ = ["CORES", "LATENCY_CORES", "DeviceCost", "OperatorCost", "predict"]
