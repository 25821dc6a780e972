#include <stdio.h>

static int turned(int letter, int first)
{
    return first + (letter - first + 13) % 26;
}

int main(void)
{
    int letter;
    while ((letter = getchar()) != EOF) {
        if (letter >= 'a' && letter <= 'z')
            letter = turned(letter, 'a');
        if (letter >= 'A' && letter <= 'Z')
            letter = turned(letter, 'A');
        putchar(letter);
    }
    return 0;
}
