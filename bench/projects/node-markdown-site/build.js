const fs = require("fs");
const { marked } = require("marked");

fs.mkdirSync("public", { recursive: true });
fs.writeFileSync("public/index.html", marked.parse(fs.readFileSync("index.md", "utf8")));
