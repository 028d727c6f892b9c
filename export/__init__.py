"""Plain graph -> ONNX, TFLite, C. Leans on plain and the numpy front end alone; imports no torch."""
