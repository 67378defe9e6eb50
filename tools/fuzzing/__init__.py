"""Fuzzing of everything that reads what a user gives; tools/fuzz.py is its command.

mutate.py     random changes of texts, trees, binary files and archives
readers.py    what is fuzzed: small valid files, and the code that reads them
networks.py   random small networks: build, train, save, load, plan
hunt.py       inputs in a forked process with limits of time and memory; failures, grouped
reduce.py     the smallest input with the same failure
"""
