"""The public Python face: `runner.load` (loading.py), the network that it returns (network.py), its layers by name
(names.py), its table (summary.py), its training (training.py) and its gradients (gradients.py)."""
