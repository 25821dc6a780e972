#include <ruby.h>

static VALUE count(VALUE self, VALUE text, VALUE byte)
{
    const char *letters = RSTRING_PTR(text);
    char wanted = RSTRING_PTR(byte)[0];
    long found = 0;
    for (long i = 0; i < RSTRING_LEN(text); i++)
        found += letters[i] == wanted;
    return LONG2NUM(found);
}

void Init_tally(void)
{
    rb_define_singleton_method(rb_define_module("Tally"), "count", count, 2);
}
