Gem::Specification.new do |spec|
  spec.name = "tally"
  spec.version = "2.0.1"
  spec.summary = "How often a byte stands in a text, in C"
  spec.authors = ["a team"]
  spec.license = "MIT"
  spec.files = Dir["lib/*.rb"] + Dir["ext/**/*.{c,rb}"]
  spec.extensions = ["ext/tally/extconf.rb"]
end
