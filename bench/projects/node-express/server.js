const express = require("express");

const app = express();
app.get("/", (request, response) => response.json({ shop: "open" }));
if (require.main === module) {
  app.listen(3000);
}
module.exports = app;
