//! `--chmod`: octal, or symbolic as chmod(1) takes it.

use super::FilesError;

/// What `--chmod` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// All twelve bits.
    Octal(u32),
    /// One change after the other.
    Symbolic(Vec<Change>),
}

/// A part of a symbolic mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The bits of those it is for: 0700, 0070 and 0007 together.
    who: u32,
    sign: Sign,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Add,
    Remove,
    Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Bits {
        /// `rwx` as one octal digit.
        permissions: u32,
        /// `X`: execution of folders, and of files that someone may execute.
        search: bool,
        /// `s`.
        set_id: bool,
        /// `t`.
        sticky: bool,
    },
    /// The permissions that this one has: how far its octal digit is shifted.
    CopyOf(u32),
}

impl Mode {
    /// Reads `--chmod`.
    pub(super) fn parse(text: &str) -> Result<Self, FilesError> {
        let bad = || FilesError::Mode { text: text.to_owned() };
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match u32::from_str_radix(text, 8) {
                Ok(mode) if mode <= 0o7777 => Ok(Self::Octal(mode)),
                _ => Err(bad()),
            };
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            read_clause(clause, &mut changes).ok_or_else(bad)?;
        }
        Ok(Self::Symbolic(changes))
    }

    /// The mode, of twelve bits, of a file that has `mode`.
    pub(super) fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        match self {
            Self::Octal(new) => *new,
            Self::Symbolic(changes) => {
                changes.iter().fold(mode & 0o7777, |current, change| change.apply(current, mode, is_folder))
            }
        }
    }
}

fn read_clause(clause: &str, changes: &mut Vec<Change>) -> Option<()> {
    let mut rest = clause;
    let mut who = 0;
    while let Some(letter) = rest.chars().next() {
        who |= match letter {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => 0o777,
            _ => break,
        };
        rest = &rest[1..];
    }
    // Without a name it is for all: the file mode mask of a builder is 0.
    let who = if who == 0 { 0o777 } else { who };
    if rest.is_empty() {
        return None;
    }
    while let Some(sign) = rest.chars().next() {
        let sign = match sign {
            '+' => Sign::Add,
            '-' => Sign::Remove,
            '=' => Sign::Set,
            _ => return None,
        };
        rest = &rest[1..];
        let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
        changes.push(Change { who, sign, what: read_what(&rest[..end])? });
        rest = &rest[end..];
    }
    Some(())
}

fn read_what(letters: &str) -> Option<What> {
    match letters {
        "u" => return Some(What::CopyOf(6)),
        "g" => return Some(What::CopyOf(3)),
        "o" => return Some(What::CopyOf(0)),
        _ => {}
    }
    let (mut permissions, mut search, mut set_id, mut sticky) = (0, false, false, false);
    for letter in letters.chars() {
        match letter {
            'r' => permissions |= 4,
            'w' => permissions |= 2,
            'x' => permissions |= 1,
            'X' => search = true,
            's' => set_id = true,
            't' => sticky = true,
            _ => return None,
        }
    }
    Some(What::Bits { permissions, search, set_id, sticky })
}

impl Change {
    fn apply(&self, current: u32, original: u32, is_folder: bool) -> u32 {
        let (digit, special) = match self.what {
            What::CopyOf(shift) => ((current >> shift) & 7, 0),
            What::Bits { permissions, search, set_id, sticky } => {
                let searched = search && (is_folder || original & 0o111 != 0);
                let mut special = if sticky { 0o1000 } else { 0 };
                if set_id {
                    special |= self.set_id_bits();
                }
                (permissions | u32::from(searched), special)
            }
        };
        let bits = ((digit * 0o111) & self.who) | special;
        match self.sign {
            Sign::Add => current | bits,
            Sign::Remove => current & !bits,
            Sign::Set => (current & !(self.who | self.set_id_bits())) | bits,
        }
    }

    /// The set-user-id and set-group-id bits of those it is for.
    fn set_id_bits(&self) -> u32 {
        let user = if self.who & 0o700 != 0 { 0o4000 } else { 0 };
        let group = if self.who & 0o070 != 0 { 0o2000 } else { 0 };
        user | group
    }
}

#[cfg(test)]
mod tests {
    use super::Mode;

    #[test]
    fn modes_are_applied() {
        let cases = [
            ("755", 0o644, false, 0o755),
            ("04711", 0o644, false, 0o4711),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w,u+s", 0o666, false, 0o4444),
            ("g=u,o-rwx", 0o754, false, 0o770),
            ("u=rw+x", 0o077, false, 0o777),
            ("go=", 0o2775, true, 0o700),
            ("+t", 0o777, true, 0o1777),
        ];
        for (text, before, is_folder, after) in cases {
            let mode = Mode::parse(text).expect(text).apply(before, is_folder);
            assert_eq!(mode, after, "{text} on {before:o}: {mode:o}");
        }
        for text in ["", "8", "10000", "u", "u=q", "u=rw,", "x+u", "0755x"] {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
    }
}
