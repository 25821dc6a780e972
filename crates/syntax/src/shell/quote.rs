//! Quoting of a text so that the shell reads it as one word.

use std::borrow::Cow;

/// `word` as the shell has to see it to get `word` back: unchanged where no character means something to the shell,
/// else in single quotes.
#[must_use]
pub fn quote(word: &str) -> Cow<'_, str> {
    if !word.is_empty() && word.bytes().all(is_plain) && !is_reserved(word) {
        return Cow::Borrowed(word);
    }
    // A single quote cannot stand in single quotes: they are closed, and it is escaped between them.
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// Whether a byte never means anything to a shell. `=` is left out, since `a=b` is an assignment where a command's
/// name is due, and so is `~`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./:,+@%".contains(&byte)
}

/// Whether a shell takes the word for a keyword where a command's name is due.
fn is_reserved(word: &str) -> bool {
    matches!(
        word,
        "case"
            | "coproc"
            | "do"
            | "done"
            | "elif"
            | "else"
            | "esac"
            | "fi"
            | "for"
            | "function"
            | "if"
            | "in"
            | "select"
            | "then"
            | "time"
            | "until"
            | "while"
    )
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn only_what_needs_it_is_quoted() {
        for plain in ["curl", "ca-certificates", "/var/lib/apt/lists", "g++", "python3:any", "a.b,c@d%e_f"] {
            assert_eq!(quote(plain), plain);
        }
        for (word, quoted) in [
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("*", "'*'"),
            ("~", "'~'"),
            ("$x", "'$x'"),
            ("a=b", "'a=b'"),
            ("then", "'then'"),
            ("a\nb", "'a\nb'"),
            ("é", "'é'"),
        ] {
            assert_eq!(quote(word), quoted);
        }
    }
}
