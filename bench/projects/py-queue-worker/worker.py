#!/usr/bin/env python3
import redis
import rq

print(redis.__version__, rq.VERSION)
