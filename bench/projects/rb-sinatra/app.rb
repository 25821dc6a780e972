require "sinatra/base"

class App < Sinatra::Base
  get("/") { "hello" }
  run! if app_file == $PROGRAM_NAME
end
