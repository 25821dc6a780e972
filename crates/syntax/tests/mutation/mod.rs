//! Changes to a file that people and accidents make: bytes and lines lost, doubled and swapped, pieces of syntax put in,
//! the end cut off.

/// One change. Places are counted in bytes or lines, modulo how many there are.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    /// A byte is lost.
    DeleteByte(usize),
    /// A byte is put in.
    InsertByte(usize, u8),
    /// A byte is there twice.
    DoubleByte(usize),
    /// Two bytes are swapped.
    SwapBytes(usize, usize),
    /// A line is lost.
    DeleteLine(usize),
    /// A line is there once more, at another place.
    CopyLine(usize, usize),
    /// Two lines are swapped.
    SwapLines(usize, usize),
    /// A piece of syntax is put in.
    Insert(usize, usize),
    /// A piece of syntax is put in at the start of a line.
    InsertAtLine(usize, usize),
    /// The rest is cut off.
    Truncate(usize),
}

/// Pieces of syntax that mean something to some part of a parser.
pub(crate) const PIECES: &[&str] = &[
    "\\\n",
    "\\",
    "`",
    "`\n",
    "\r",
    "\r\n",
    "\n",
    "\t",
    " ",
    "\\ ",
    "\\\\\n",
    "\\ \n",
    "\u{a0}",
    "\u{feff}",
    "\u{b}",
    "\"",
    "'",
    "\"\"",
    "''",
    "[",
    "]",
    "[\"a\", \"b\"]",
    "[1]",
    "[ \"a\" ",
    "{",
    "}",
    "\\\"",
    "\\u0041",
    "$",
    "${",
    "${a:-b}",
    "${a/b/c}",
    "$a",
    "#",
    "# comment\n",
    "  # comment\n",
    "# escape=`\n",
    "# syntax=a\n",
    "#check=skip=all\n",
    "--",
    "--a=b ",
    "--from=x ",
    "-- ",
    "--a=\"b c\" ",
    "=",
    "a=b",
    "a b",
    "<<EOF",
    "<<-EOF",
    "<<\"EOF\"",
    "<<E <<F",
    "3<<EOF",
    "<< EOF",
    "<<<",
    "EOF\n",
    "\tEOF\n",
    "<<EOF\nx\nEOF\n",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "LABEL ",
    "ARG ",
    "ONBUILD ",
    "HEALTHCHECK ",
    "HEALTHCHECK CMD ",
    "NONE",
    "CMD ",
    "SHELL ",
    "VOLUME ",
    "FROM ",
    "USER ",
    "from a\n",
    "FROM a AS b\n",
    "EXPOSE 1\n",
    "MAINTAINER\n",
    "&&",
    "||",
    ";",
    "|",
    "&",
    "(",
    ")",
    "$(",
    "if ",
    "fi",
    "\\x",
];

impl Mutation {
    /// A mutation out of random numbers.
    pub(crate) fn of(kind: u64, at: usize, other: usize) -> Self {
        match kind % 12 {
            0 => Self::DeleteByte(at),
            1 => Self::InsertByte(at, (other % 128) as u8),
            2 => Self::DoubleByte(at),
            3 => Self::SwapBytes(at, other),
            4 => Self::DeleteLine(at),
            5 => Self::CopyLine(at, other),
            6 => Self::SwapLines(at, other),
            7 => Self::InsertAtLine(at, other),
            8 if at.is_multiple_of(4) => Self::Truncate(at),
            _ => Self::Insert(at, other),
        }
    }

    /// Carries it out.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        let count = bytes.len();
        if count == 0 {
            return;
        }
        match *self {
            Self::DeleteByte(at) => drop(bytes.remove(at % count)),
            Self::InsertByte(at, byte) => bytes.insert(at % (count + 1), byte),
            Self::DoubleByte(at) => bytes.insert(at % count, bytes[at % count]),
            Self::SwapBytes(one, other) => bytes.swap(one % count, other % count),
            Self::Truncate(at) => bytes.truncate(at % count),
            Self::Insert(at, piece) => {
                let at = at % (count + 1);
                drop(bytes.splice(at..at, PIECES[piece % PIECES.len()].bytes()));
            }
            Self::DeleteLine(_) | Self::CopyLine(..) | Self::SwapLines(..) | Self::InsertAtLine(..) => {
                let mut lines: Vec<Vec<u8>> =
                    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                let count = lines.len();
                match *self {
                    Self::DeleteLine(at) => drop(lines.remove(at % count)),
                    Self::CopyLine(from, to) => lines.insert(to % (count + 1), lines[from % count].clone()),
                    Self::SwapLines(one, other) => lines.swap(one % count, other % count),
                    Self::InsertAtLine(at, piece) => {
                        let piece = PIECES[piece % PIECES.len()];
                        drop(lines[at % count].splice(..0, piece.bytes()));
                    }
                    _ => {}
                }
                *bytes = lines.concat();
            }
        }
    }
}

/// Carries out all of them, one after the other.
pub(crate) fn mutated(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
    bytes
}

/// Texts with what parsers get wrong.
pub(crate) const SNIPPETS: &[&str] = &[
    "FROM a\nRUN b\n",
    "# syntax=x\n# escape=`\nFROM a\nRUN b `\n  # c\n\n  && d\n",
    "FROM a\r\nRUN b \\\r\n  && c\r\n",
    "FROM a\nRUN <<EOF\nb\nEOF\nCOPY <<-\"x\" 3<<y /d\n\tb\n\tx\nc\ny\n",
    "FROM a\nRUN <<EOF cat > b && cat <<'E2' \\\n # c\n > d\n1\nEOF\n2\nE2\n",
    "\u{feff}FROM --platform=$A a AS b\nRUN --mount=type=cache,target=\"/a b\" --network=none x\n",
    "FROM a\nENV a b c\nENV a=\"b c\" d='e' f\\ g=h\nLABEL a.b=\"c \\\n  d\"\nARG a b=c\n",
    "FROM a\nCMD [\"a\", \"b\\n\\u00e9\"]\nENTRYPOINT [ 'a' ]\nSHELL [\"a\"]\nVOLUME [\"/a\"]\nADD [\"a b\", \"/c\"]\n",
    "FROM a\nONBUILD RUN <<EOF\nb\nEOF\nONBUILD COPY a b\nHEALTHCHECK --interval=5s CMD [\"a\"]\nHEALTHCHECK NONE\n",
    "FROM a\nRUN if [ -d /a ]; then \\\n  b; \\\n# c\n  else d \"$(e <<F\ng\nF\n)\"; fi\nUSER a\nWORKDIR /b\nRUN c\n",
    "FROM a\nRUN b \\\\\nRUN c \\ \n  d\\\n",
    "FROM a\nRUN b\n# caf\u{e9} \u{10f780}\nEXPOSE 80/tcp 90\nSTOPSIGNAL 9\nMAINTAINER x y\n",
];
