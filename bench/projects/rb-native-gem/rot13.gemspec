Gem::Specification.new do |spec|
  spec.name = "rot13"
  spec.version = "0.3.0"
  spec.summary = "Letters turned by thirteen, in C"
  spec.authors = ["a team"]
  spec.license = "MIT"
  spec.files = Dir["lib/*.rb"] + Dir["ext/**/*.{c,rb}"]
  spec.extensions = ["ext/rot13/extconf.rb"]
end
