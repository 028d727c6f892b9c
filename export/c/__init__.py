"""Int8 TFLite -> plain C99 for a microcontroller, equal to the bit; with its front end and a detector."""

from kws_dendrite.export.c.detector import DetectorConfig
from kws_dendrite.export.c.reader import read_program
from kws_dendrite.export.c.sources import CSources, write_c

__all__ = ["CSources", "DetectorConfig", "read_program", "write_c"]
