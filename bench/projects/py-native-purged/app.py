import wrapt


@wrapt.decorator
def twice(wrapped, instance, args, kwargs):
    return 2 * wrapped(*args, **kwargs)


@twice
def number():
    return 21


print(number())
