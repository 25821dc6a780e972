//! Commands that are known to only read a file that they are given.

use jettison_syntax::shell::Simple;

/// How a command uses a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// It reads it.
    Reads,
    /// It runs it, and what the file does then is its own.
    Runs,
    /// It may write it, remove it or look at what else is beside it; or it is not known.
    Unknown,
}

/// Commands that read all files they are given, whatever their options.
const READERS: &[&str] = &[
    ".",
    "base64",
    "cat",
    "cksum",
    "cmp",
    "cut",
    "debconf-set-selections",
    "diff",
    "grep",
    "egrep",
    "fgrep",
    "file",
    "head",
    "md5sum",
    "mysql",
    "nl",
    "od",
    "psql",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
    "sqlite3",
    "tail",
    "wc",
    "zcat",
    "bzcat",
    "xzcat",
    "zstdcat",
    "hexdump",
    "jq",
    "test",
    "[",
];

/// Interpreters, which run the file that comes first.
const INTERPRETERS: &[&str] =
    &["sh", "bash", "dash", "ash", "python", "python2", "python3", "perl", "ruby", "node", "php", "Rscript"];

/// Package managers that install a file of their format: the program, its word for that, the ending.
const INSTALLERS: &[(&str, &[&str], &str)] = &[
    ("dpkg", &["-i", "--install"], ".deb"),
    ("apt-get", &["install"], ".deb"),
    ("apt", &["install"], ".deb"),
    ("apk", &["add"], ".apk"),
    ("rpm", &["-i", "-U", "-ivh", "-Uvh", "-ih", "-Uh", "--install", "--upgrade", "--import"], ""),
    ("yum", &["install", "localinstall"], ".rpm"),
    ("dnf", &["install", "localinstall"], ".rpm"),
    ("microdnf", &["install"], ".rpm"),
    ("zypper", &["install", "in"], ".rpm"),
    ("pip", &["install"], ".whl"),
    ("pip3", &["install"], ".whl"),
    ("gem", &["install"], ".gem"),
];

/// Commands with an option that names a file to read: the program, then the options.
const FILE_OPTIONS: &[(&str, &[&str])] = &[
    ("pip", &["-r", "-c", "--requirement", "--constraint"]),
    ("pip2", &["-r", "-c", "--requirement", "--constraint"]),
    ("pip3", &["-r", "-c", "--requirement", "--constraint"]),
    ("python", &["-r", "--requirement"]),
    ("python3", &["-r", "--requirement"]),
    ("conda", &["-f", "--file"]),
    ("mamba", &["-f", "--file"]),
    ("micromamba", &["-f", "--file"]),
    ("xargs", &["-a", "--arg-file"]),
    ("ansible-galaxy", &["-r", "--role-file"]),
    ("R", &["-f"]),
];

/// How a simple command uses the file that its word number `at` names, counted from its name on. `words` are their
/// texts, where they are known.
pub(crate) fn use_of(simple: &Simple, words: &[Option<String>], at: usize) -> Use {
    let Some(name) = simple.name() else { return Use::Unknown };
    let name = name.rsplit('/').next().unwrap_or(name);
    if at == 0 {
        return Use::Runs;
    }
    let word = |index: usize| words.get(index).and_then(|word| word.as_deref());
    let has = |options: &[&str]| words.iter().flatten().any(|word| options.contains(&word.as_str()));
    let file = word(at).unwrap_or_default();
    if READERS.contains(&name) {
        return if name == "." { Use::Runs } else { Use::Reads };
    }
    if name == "source" {
        return Use::Runs;
    }
    if INTERPRETERS.contains(&name) && (1..at).all(|index| word(index).is_some_and(is_plain_option)) {
        return Use::Runs;
    }
    let takes_as_option = FILE_OPTIONS.iter().filter(|(program, _)| *program == name).any(|(_, options)| {
        let before = word(at - 1).is_some_and(|before| options.contains(&before));
        let glued = options.iter().any(|option| file.strip_prefix(option).is_some_and(|rest| !rest.is_empty()));
        before || glued
    });
    let is_pip_module = !name.starts_with("python") || (has(&["-m"]) && has(&["pip"]));
    if takes_as_option && is_pip_module {
        return Use::Reads;
    }
    if INSTALLERS.iter().any(|(program, verbs, end)| *program == name && has(verbs) && file.ends_with(end)) {
        return Use::Reads;
    }
    match name {
        "tar" | "bsdtar" => tar(words, at),
        "unzip"
            if words
                .iter()
                .flatten()
                .skip(1)
                .find(|word| !word.starts_with('-'))
                .is_some_and(|first| first == file) =>
        {
            Use::Reads
        }
        "gunzip" | "gzip" | "bunzip2" | "bzip2" | "xz" | "unxz" | "zstd" | "unzstd" if writes_to_output(words) => {
            Use::Reads
        }
        "cp" | "install" => copies(words, at),
        "gpg" | "gpg2" if has(&["--verify", "--import"]) => Use::Reads,
        "apt-key" if word(1) == Some("add") => Use::Reads,
        _ => Use::Unknown,
    }
}

fn is_plain_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word != "-c" && word != "-m" && word != "-e"
}

/// Whether `-c` is among the options, alone or with others.
fn writes_to_output(words: &[Option<String>]) -> bool {
    words
        .iter()
        .flatten()
        .skip(1)
        .any(|word| word == "--stdout" || (word.starts_with('-') && !word.starts_with("--") && word.contains('c')))
}

/// `tar` that unpacks or lists the file.
fn tar(words: &[Option<String>], at: usize) -> Use {
    let Some(words) = words.iter().map(|word| word.as_deref()).collect::<Option<Vec<&str>>>() else {
        return Use::Unknown;
    };
    let is_letters = |index: usize, word: &str| {
        (word.starts_with('-') && !word.starts_with("--")) || (index == 1 && !word.starts_with('-'))
    };
    let letters = |letter: char| {
        words.iter().enumerate().skip(1).any(|(index, word)| is_letters(index, word) && word.contains(letter))
    };
    let unpacks = (letters('x') || letters('t') || words.iter().any(|word| matches!(*word, "--extract" | "--list")))
        && !words.iter().any(|word| matches!(*word, "--remove-files" | "--create" | "--append" | "--update"));
    let is_archive = words[at - 1] == "--file"
        || words[at].starts_with("--file=")
        || (is_letters(at - 1, words[at - 1]) && words[at - 1].ends_with('f'));
    if unpacks && is_archive { Use::Reads } else { Use::Unknown }
}

/// `cp` or `install` from the file to elsewhere.
fn copies(words: &[Option<String>], at: usize) -> Use {
    let Some(words) = words.iter().map(|word| word.as_deref()).collect::<Option<Vec<&str>>>() else {
        return Use::Unknown;
    };
    let links = |word: &&str| {
        matches!(*word, "--link" | "--symbolic-link" | "--directory" | "-t")
            || word.starts_with("--target-directory")
            || (word.starts_with('-') && !word.starts_with("--") && word.contains(['l', 's', 'd', 't']))
    };
    if at + 1 == words.len() || words[1..].iter().any(links) { Use::Unknown } else { Use::Reads }
}

#[cfg(test)]
mod tests {
    use jettison_syntax::shell::{CommandKind, Dialect, Script};

    use super::{Use, use_of};

    /// The use of the word `F` in a command.
    fn of(text: &str) -> Use {
        let script = Script::parse(text, Dialect::Sh);
        let CommandKind::Simple(simple) = &script.body.items[0].and_or.first.commands[0].kind else {
            panic!("{text}: one simple command")
        };
        let words: Vec<Option<String>> =
            simple.words.iter().map(|word| word.literal().map(|text| text.into_owned())).collect();
        let at = words.iter().position(|word| word.as_deref().is_some_and(|word| word.ends_with("F"))).expect("F");
        use_of(simple, &words, at)
    }

    #[test]
    fn readers_read() {
        for text in [
            "cat F",
            "pip install -r F",
            "pip3 install --no-cache-dir --requirement=F",
            "pip install -rF",
            "python3 -m pip install -r F",
            "tar xzf F -C /opt",
            "tar -x -f F",
            "tar --extract --file F",
            "unzip -q F",
            "gunzip -c F",
            "xz -dc F",
            "rpm -ivh F",
            "cp F /opt/",
            "cp -a F /opt/",
            "install -m 755 F /bin/x",
            "sha256sum -c F",
            "gpg --verify F",
            "apt-key add F",
            "conda env create -f F",
            "psql -f F",
        ] {
            assert_eq!(of(text), Use::Reads, "{text}");
        }
    }

    #[test]
    fn scripts_run() {
        for text in ["sh F", "bash -ex F", "F", "./F --all", "python3 -u F x", ". F", "source F"] {
            assert_eq!(of(text), Use::Runs, "{text}");
        }
    }

    #[test]
    fn the_rest_is_not_known() {
        for text in [
            "mv F /x",
            "ln F /x",
            "cp -l F /x",
            "cp -s F /x",
            "cp /x F",
            "sed -i s/a/b/ F",
            "chmod +x F",
            "gunzip F",
            "tar czf F /x",
            "tar cz -f F /x",
            "tar x -C F",
            "pip install F",
            "python3 -c F",
            "make -f F",
            "tar xzf /x --remove-files F",
            "install -d F",
            "dpkg -i F",
            "rm F",
            "unzip /x -d F",
        ] {
            assert_eq!(of(text), Use::Unknown, "{text}");
        }
    }
}
