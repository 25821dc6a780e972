#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words)
{
    unsigned long a = 0, b = 1;
    for (int left = count > 1 ? atoi(words[1]) : 10; left > 0; left--) {
        unsigned long next = a + b;
        a = b;
        b = next;
    }
    printf("%lu\n", a);
    return 0;
}
