//! The first line of a script: the program that the kernel starts for it.

/// How much of a script the kernel looks at (`BINPRM_BUF_SIZE`).
const LONGEST: usize = 256;

/// A script's first line (execve(2), "Interpreter scripts").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The program, as the line names it.
    pub interpreter: Vec<u8>,
    /// What the program is given before the script's own name; one word for the kernel, blanks and all.
    pub argument: Option<Vec<u8>>,
}

impl Script {
    /// Reads a script's first line; none where the bytes are no script's.
    #[must_use]
    pub fn read(content: &[u8]) -> Option<Self> {
        let start = &content[..content.len().min(LONGEST)];
        let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?.trim_ascii();
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t' | 0)).unwrap_or(line.len());
        let (interpreter, rest) = line.split_at(end);
        let argument = rest.trim_ascii();
        (!interpreter.is_empty()).then(|| Self {
            interpreter: interpreter.to_vec(),
            argument: (!argument.is_empty()).then(|| argument.to_vec()),
        })
    }

    /// The program that `env` looks for in `PATH`, where the script is run by `env` (env(1), also with `-S`).
    #[must_use]
    pub fn by_env(&self) -> Option<&[u8]> {
        if self.interpreter.rsplit(|&byte| byte == b'/').next() != Some(b"env") {
            return None;
        }
        let words = self.argument.as_deref()?.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let mut words = words.skip_while(|word| word.contains(&b'=') && !word.starts_with(b"-"));
        let mut word = words.next()?;
        // `-S` stands alone or has the first word behind it; other options may come before the program.
        while let Some(option) = word.strip_prefix(b"-") {
            let attached = option.strip_prefix(b"S").or_else(|| option.strip_prefix(b"-split-string="));
            match attached {
                Some(rest) if !rest.is_empty() && !rest.starts_with(b"-") && !rest.contains(&b'=') => {
                    return Some(rest);
                }
                _ => word = words.next()?,
            }
            if word.contains(&b'=') && !word.starts_with(b"-") {
                word = words.find(|word| !word.contains(&b'='))?;
            }
        }
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_env(line: &str) -> Option<String> {
        let script = Script::read(line.as_bytes()).unwrap();
        script.by_env().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    #[test]
    fn a_line_is_a_program_and_one_word() {
        let script = Script::read(b"#!  /bin/sh\t-e x \nrest").unwrap();
        assert_eq!((script.interpreter.as_slice(), script.argument.as_deref()), (&b"/bin/sh"[..], Some(&b"-e x"[..])));
        assert_eq!(Script::read(b"#!/bin/sh").unwrap().argument, None);
        assert_eq!(Script::read(b"#!\n/bin/sh"), None);
        assert_eq!(Script::read(b"# /bin/sh"), None);
        let long = [b"#!/", vec![b'a'; 300].as_slice()].concat();
        assert_eq!(Script::read(&long).unwrap().interpreter.len(), 254);
    }

    #[test]
    fn env_looks_for_the_program_behind_options_and_variables() {
        assert_eq!(by_env("#!/usr/bin/env python3").as_deref(), Some("python3"));
        assert_eq!(by_env("#!/usr/bin/env -S node --harmony").as_deref(), Some("node"));
        assert_eq!(by_env("#!/usr/bin/env -Snode --harmony").as_deref(), Some("node"));
        assert_eq!(by_env("#!/usr/bin/env -i -S A=1 perl -w").as_deref(), Some("perl"));
        assert_eq!(by_env("#!/usr/bin/env --split-string=ruby x").as_deref(), Some("ruby"));
        assert_eq!(by_env("#!/bin/env A=1 B=2 perl").as_deref(), Some("perl"));
        assert_eq!(by_env("#!/usr/bin/env"), None);
        assert_eq!(by_env("#!/usr/bin/envy x"), None);
        assert_eq!(by_env("#!/usr/bin/env -S"), None);
    }
}
