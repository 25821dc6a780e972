from prices import price

print(price(123456))
