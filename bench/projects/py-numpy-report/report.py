import csv

import numpy

values = numpy.array([float(row["value"]) for row in csv.DictReader(open("values.csv"))])
print(f"{len(values)} values, mean {values.mean():.2f}, deviation {values.std():.2f}")
