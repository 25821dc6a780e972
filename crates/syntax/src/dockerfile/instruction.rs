//! Instructions: keyword, flags and arguments of each, with their places.

use crate::Span;

use super::error::{ErrorKind, SyntaxError};
use super::heredoc::Heredoc;
use super::json::{self, JsonString, NotStrings};
use super::logical::Logical;
use super::words;

macro_rules! kinds {
    ($($name:ident $keyword:literal $doc:literal,)*) => {
        /// Which instruction it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $doc] $name,)*
            /// One that there is not.
            Unknown,
        }

        impl Kind {
            /// All keywords, upper case.
            pub const KEYWORDS: &[&str] = &[$($keyword),*];

            /// The kind of a keyword in any case.
            #[must_use]
            pub fn of(keyword: &str) -> Self {
                $(if keyword.eq_ignore_ascii_case($keyword) { return Self::$name; })*
                Self::Unknown
            }

            /// The keyword, upper case; empty for an unknown one.
            #[must_use]
            pub fn keyword(self) -> &'static str {
                match self {
                    $(Self::$name => $keyword,)*
                    Self::Unknown => "",
                }
            }
        }
    };
}

kinds! {
    Run "RUN" "Runs a command.",
    From "FROM" "Starts a stage.",
    Copy "COPY" "Copies files.",
    Env "ENV" "Sets variables for the build and the container.",
    Arg "ARG" "Declares a build argument.",
    Workdir "WORKDIR" "Changes the working directory.",
    Add "ADD" "Copies, downloads or unpacks files.",
    Label "LABEL" "Describes the image.",
    Cmd "CMD" "The container's default command.",
    Entrypoint "ENTRYPOINT" "The container's program.",
    Expose "EXPOSE" "Names ports.",
    User "USER" "Changes the user.",
    Volume "VOLUME" "Declares folders that containers keep apart.",
    Maintainer "MAINTAINER" "Names an author; deprecated.",
    Healthcheck "HEALTHCHECK" "How an engine checks a container.",
    Shell "SHELL" "The shell of shell forms.",
    Stopsignal "STOPSIGNAL" "The signal that stops a container.",
    Onbuild "ONBUILD" "An instruction for images built on this one.",
}

impl Kind {
    /// The flags that the instruction has.
    #[must_use]
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Self::From => &["platform"],
            Self::Run => &["mount", "network", "security", "device"],
            Self::Copy => &["from", "chown", "chmod", "link", "parents", "exclude"],
            Self::Add => &["chown", "chmod", "link", "keep-git-dir", "checksum", "unpack", "exclude"],
            Self::Healthcheck => &["interval", "timeout", "start-period", "start-interval", "retries"],
            _ => &[],
        }
    }

    /// Whether its line can announce heredocs.
    pub(super) fn takes_heredocs(self) -> bool {
        matches!(self, Self::Run | Self::Copy | Self::Add)
    }
}

/// An instruction with all its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// From the first byte of its keyword to the end of its last line, without the line end. Heredocs are within.
    pub span: Span,
    /// Its first and last line, counted from 1.
    pub lines: (u32, u32),
    /// Its physical lines joined. Spans in the body count in this text.
    pub logical: Logical,
    /// What it says.
    pub body: Body,
    /// Its heredocs.
    pub heredocs: Vec<Heredoc>,
    /// The comments directly above it, as indices.
    pub above: (u32, u32),
    /// The comments among its lines, as indices.
    pub within: (u32, u32),
}

/// Keyword, flags and arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Which instruction.
    pub kind: Kind,
    /// The keyword, in the logical line.
    pub keyword: Span,
    /// The flags, in order.
    pub flags: Vec<Flag>,
    /// Everything behind the flags, in the logical line.
    pub rest: Span,
    /// The same taken apart.
    pub arguments: Arguments,
}

/// A flag of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Where it stands, in the logical line.
    pub span: Span,
    /// Its text without quotes and escapes, with the dashes.
    pub text: String,
}

impl Flag {
    /// Its name, without dashes.
    #[must_use]
    pub fn name(&self) -> &str {
        let text = self.text.strip_prefix("--").unwrap_or(&self.text);
        text.split_once('=').map_or(text, |(name, _)| name)
    }

    /// Its value, where it has one.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.text.split_once('=').map(|(_, value)| value)
    }
}

/// The arguments of an instruction, in the form that its kind takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// There are none.
    None,
    /// The JSON form.
    Json(Vec<JsonString>),
    /// One text: a shell form, a user, a folder, a signal.
    Text(Span),
    /// Words between blanks.
    Words(Vec<Span>),
    /// Names and values.
    Pairs {
        /// Each pair.
        pairs: Vec<Pair>,
        /// Whether it is the old form without `=`, which takes one pair.
        legacy: bool,
    },
    /// `HEALTHCHECK NONE`, `HEALTHCHECK CMD …`: the type and the command behind it.
    Health {
        /// `NONE` or `CMD`.
        kind: Span,
        /// The command.
        command: Box<Arguments>,
    },
    /// ONBUILD's instruction.
    Trigger(Box<Body>),
}

/// A name with its value, in the logical line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub name: Span,
    /// The value as written, with its quotes.
    pub value: Span,
}

impl Body {
    /// Parses a part of a logical line; what is wrong is added to `errors`, in the logical line.
    pub(super) fn parse(line: &str, span: Span, escape: char, errors: &mut Vec<SyntaxError>) -> Self {
        let (keyword, rest) = words::keyword(line, span);
        let (flags, rest) = words::flags(line, rest);
        let kind = Kind::of(keyword.of(line));
        let arguments = Arguments::parse(kind, line, rest, escape, errors);
        Self { kind, keyword, flags, rest, arguments }
    }

    /// The body that decides about heredocs and commands: ONBUILD's instruction, or this one.
    #[must_use]
    pub fn effective(&self) -> &Self {
        match &self.arguments {
            Arguments::Trigger(body) => body,
            _ => self,
        }
    }

    /// The first flag of that name.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.name() == name)
    }
}

impl Arguments {
    fn parse(kind: Kind, line: &str, rest: Span, escape: char, errors: &mut Vec<SyntaxError>) -> Self {
        let mut refuse = |kind| errors.push(SyntaxError { span: rest, kind });
        if rest.is_empty() {
            return Self::None;
        }
        match kind {
            Kind::Run | Kind::Cmd | Kind::Entrypoint | Kind::Shell => Self::command(line, rest, &mut refuse),
            Kind::Copy | Kind::Add | Kind::Volume => match json::strings(rest.of(line), rest.start as usize) {
                Ok(strings) => Self::Json(strings),
                Err(NotStrings::NoArray) => Self::Words(words::plain(line, rest)),
                Err(NotStrings::OtherValues) => {
                    refuse(ErrorKind::NotStrings);
                    Self::Words(words::plain(line, rest))
                }
            },
            Kind::Env | Kind::Label => Self::pairs(kind, line, rest, escape, errors),
            Kind::Arg => Self::Words(words::quoted(line, rest, escape)),
            Kind::From | Kind::Expose => Self::Words(words::plain(line, rest)),
            Kind::Healthcheck => {
                let text = rest.of(line);
                let end = text.find(char::is_whitespace).unwrap_or(text.len());
                let command = words::trimmed(&text[end..], rest.start as usize + end);
                let kind = Span::new(rest.start as usize, rest.start as usize + end);
                let command = if command.is_empty() { Self::None } else { Self::command(line, command, &mut refuse) };
                Self::Health { kind, command: Box::new(command) }
            }
            Kind::Onbuild => Self::Trigger(Box::new(Body::parse(line, rest, escape, errors))),
            Kind::User | Kind::Workdir | Kind::Stopsignal | Kind::Maintainer | Kind::Unknown => Self::Text(rest),
        }
    }

    fn command(line: &str, rest: Span, refuse: &mut dyn FnMut(ErrorKind)) -> Self {
        match json::strings(rest.of(line), rest.start as usize) {
            Ok(strings) => Self::Json(strings),
            Err(why) => {
                if why == NotStrings::OtherValues {
                    refuse(ErrorKind::NotStrings);
                }
                Self::Text(rest)
            }
        }
    }

    fn pairs(kind: Kind, line: &str, rest: Span, escape: char, errors: &mut Vec<SyntaxError>) -> Self {
        let all = words::quoted(line, rest, escape);
        let Some(first) = all.first() else { return Self::None };
        if !first.of(line).contains('=') {
            let (name, value) = words::keyword(line, rest);
            if value.is_empty() {
                errors.push(SyntaxError { span: rest, kind: ErrorKind::NoValue { keyword: kind.keyword() } });
                return Self::Words(all);
            }
            return Self::Pairs { pairs: vec![Pair { name, value }], legacy: true };
        }
        let mut pairs = Vec::with_capacity(all.len());
        for word in all {
            let Some(at) = word.of(line).find('=') else {
                let kind = ErrorKind::NoEquals { word: word.of(line).to_owned() };
                errors.push(SyntaxError { span: word, kind });
                continue;
            };
            let middle = word.start as usize + at;
            let name = Span::new(word.start as usize, middle);
            pairs.push(Pair { name, value: Span::new(middle + 1, word.end as usize) });
        }
        Self::Pairs { pairs, legacy: false }
    }
}
