require "bcrypt"

puts BCrypt::Engine.hash_secret("secret", "$2a$04$abcdefghijklmnopqrstuu")[0, 7]
