"""What a gate needs for a given load: an estimate from measured figures.

Rules of this package
1. It is arithmetic: it knows no Kafka, no clock and no process. `estimate` is a function of a load and of figures.
2. Every number that is not the operator's comes from a run in bench/results, or is a named constant with its reason.
3. A figure has the lowest and the highest value that was measured. What is planned with is the one that costs more.
"""
