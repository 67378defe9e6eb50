"""Ours against PyTorch, ONNX Runtime, OpenCV and darknet, on the same networks: python -m bench."""
