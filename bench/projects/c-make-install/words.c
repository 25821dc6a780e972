#include <ctype.h>
#include "words.h"

unsigned long words(FILE *from)
{
    unsigned long found = 0;
    int last = ' ', letter;
    while ((letter = getc(from)) != EOF) {
        found += isspace(last) && !isspace(letter);
        last = letter;
    }
    return found;
}
