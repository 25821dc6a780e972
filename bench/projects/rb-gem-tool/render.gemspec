Gem::Specification.new do |spec|
  spec.name = "render"
  spec.version = "1.2.0"
  spec.summary = "Headings of Markdown as HTML"
  spec.authors = ["a team"]
  spec.license = "MIT"
  spec.files = Dir["lib/*.rb"]
  spec.bindir = "bin"
  spec.executables = ["render"]
end
