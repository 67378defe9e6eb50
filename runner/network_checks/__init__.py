"""What a cfg means, beyond how it is written: numbers that must agree with each other.

An error: training, testing or detecting would refuse the network later, or another network would be built without a
word.  A warning: darknet computes something defined, and it is rarely what was meant.  Every sentence names its line.

net    the options of [net]                     graph  detection heads, and the consumers of each output
sizes  feature maps that must be of one size    use    questions of the code that runs a network
files  files that sections name
"""
from runner.network_checks.files import file_problems
from runner.network_checks.graph import check_network
from runner.network_checks.net import check_net
from runner.network_checks.sizes import Placed, dividing_size, fitting_size, flat_route
from runner.network_checks.use import gives_probabilities, learns_several_labels, untrainable

__all__ = ["Placed", "check_net", "check_network", "dividing_size", "file_problems", "fitting_size",
           "flat_route", "gives_probabilities", "learns_several_labels", "untrainable"]
