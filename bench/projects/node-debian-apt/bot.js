const answers = { hi: "hello", bye: "goodbye" };

console.log(process.argv.slice(2).map((word) => answers[word] || "?").join(" "));
