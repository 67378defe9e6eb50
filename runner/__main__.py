"""python -m runner VERB"""
import sys

from cfgrunner import main

sys.exit(main())
