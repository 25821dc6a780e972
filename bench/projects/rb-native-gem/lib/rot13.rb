require "rot13/rot13"
