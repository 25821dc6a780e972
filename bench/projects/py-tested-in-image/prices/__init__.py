from babel.numbers import format_currency


def price(cents):
    return format_currency(cents / 100, "EUR", locale="en_US")
