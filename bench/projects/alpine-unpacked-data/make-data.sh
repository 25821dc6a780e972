# Stands for what a data provider ships.
awk 'BEGIN { for (i = 0; i < 60000; i++) print "city" i "," i % 977 "," i * 7919 % 100003 }'
