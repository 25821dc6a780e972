#include <ruby.h>

static VALUE turn(VALUE self, VALUE text)
{
    VALUE result = rb_str_dup(text);
    char *letters = RSTRING_PTR(result);
    for (long i = 0; i < RSTRING_LEN(result); i++) {
        char c = letters[i];
        char first = c >= 'a' && c <= 'z' ? 'a' : c >= 'A' && c <= 'Z' ? 'A' : 0;
        if (first)
            letters[i] = first + (c - first + 13) % 26;
    }
    return result;
}

void Init_rot13(void)
{
    rb_define_singleton_method(rb_define_module("Rot13"), "turn", turn, 1);
}
