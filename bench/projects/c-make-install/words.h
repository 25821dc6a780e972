#include <stdio.h>

unsigned long words(FILE *from);
