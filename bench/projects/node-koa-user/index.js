const Koa = require("koa");

const app = new Koa();
app.use((context) => { context.body = "ok"; });
if (require.main === module) {
  app.listen(process.env.PORT);
}
module.exports = app;
