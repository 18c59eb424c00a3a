"""Remote reader: inference on a server by the Open Inference Protocol (KServe v2, Triton) over HTTP. Without torch."""
