#!/usr/bin/env python3
import sys

from bs4 import BeautifulSoup

page = BeautifulSoup(open(sys.argv[1]), "lxml")
for link in page.find_all("a"):
    print(link["href"], link.text)
