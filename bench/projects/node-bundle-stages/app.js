function greeting(name) {
  const text = "hello " + name;
  return text;
}

console.log(greeting("you"));
