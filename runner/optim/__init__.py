"""Weight updates: rules, the optimizers that apply them, learning-rate policies, the moving average.

Import from the modules: rules.py is below the network (the options of [net] are derived from it), the others above.
"""
