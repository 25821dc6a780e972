require "tally"

puts Tally.count("a banana", "a")
