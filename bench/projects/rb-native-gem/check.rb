require "bcrypt"

puts BCrypt::Password.new("$2a$12$DQoa2eT/aXFPgIoGwfllHuj4wEA3F71WWT7E/Trez331HGDUSRvXi") == "a secret"
