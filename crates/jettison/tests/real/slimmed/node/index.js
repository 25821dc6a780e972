// Says what each dependency is, and that it does its work.
const { crc32 } = require("@node-rs/crc32");
const express = require("express");
const { dependencies } = require("./package.json");
for (const name of Object.keys(dependencies)) console.log(name, typeof require(name));
console.log(crc32("jettison"), typeof express().get);
