const primes = (below: number): number[] =>
  [...Array(below).keys()].filter((n) => n > 1 && ![...Array(n).keys()].some((d) => d > 1 && n % d === 0));

console.log(primes(30).join(" "));
