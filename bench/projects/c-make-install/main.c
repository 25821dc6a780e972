#include <stdio.h>
#include "words.h"

int main(void)
{
    printf("%lu\n", words(stdin));
    return 0;
}
