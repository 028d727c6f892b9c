"""One TFLite operator -> one call of a C kernel, with the constants it needs."""

from kws_dendrite.export.c.lower.dispatch import lower
from kws_dendrite.export.c.lower.step import Constants, Step

__all__ = ["Constants", "Step", "lower"]
