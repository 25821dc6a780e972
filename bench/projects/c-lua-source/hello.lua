local words = {}
for word in ("hello from lua"):gmatch("%a+") do words[#words + 1] = word:upper() end
print(table.concat(words, " "))
