module Render
  def self.html(text)
    text.gsub(/^(\#+) (.*)$/) { "<h#{$1.size}>#{$2}</h#{$1.size}>" }
  end
end
