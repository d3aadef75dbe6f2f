"""OpenVINO's core, one for the whole process.

Its CPU plugin gives the thread that loads it a stack for signals, and puts the earlier one back when its core is freed,
be that one gone or not: with two cores, of which the first is freed first, the next signal (Ctrl-C, a worker that ends)
ends the process. One that is never freed cannot.
"""

import openvino

CORE = openvino.Core()
