from prices import price


def test_price():
    assert price(100) == "€1.00"
