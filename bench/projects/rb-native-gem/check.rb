require "rot13"

puts Rot13.turn("a secret")
