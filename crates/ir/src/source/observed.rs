//! What RUN instructions were seen to do, where a build was traced.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::packages::PackagesSeen;

/// The RUN instructions of a Dockerfile that were watched.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// Each with its first and last line in the original, counted from 1.
    pub runs: Vec<((usize, usize), Arc<Observed>)>,
    /// The symbolic links of the image: what is below one is somewhere else.
    pub links: Arc<BTreeSet<String>>,
    /// The packages of the image, where something depends on what uses them and their databases could be read.
    pub packages: Option<Arc<PackagesSeen>>,
}

/// The paths that a RUN used: absolute, as it named them and as links led.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// All that it read, asked about, looked up in vain, or changed.
    pub touched: BTreeSet<String>,
    /// Folders that it listed or held open: it may know all that is in them.
    pub listed: BTreeSet<String>,
    /// What it asked about.
    pub examined: BTreeSet<String>,
    /// What was not there when it looked.
    pub missed: BTreeSet<String>,
    /// What it made, changed or removed.
    pub written: BTreeSet<String>,
    /// The symbolic links of the image.
    pub links: Arc<BTreeSet<String>>,
}

impl Observations {
    /// What the RUN instructions within a range of lines of the original did; none where one of `all` in it was not
    /// watched, or none is in it. A range within one of them is a piece of it, which did no more than the whole.
    #[must_use]
    pub fn within(&self, (first, last): (usize, usize), all: &[(usize, usize)]) -> Option<Observed> {
        let mut lines = all.iter().filter(|(from, to)| first <= *from && *to <= last).peekable();
        if lines.peek().is_none() {
            let whole = all.iter().find(|(from, to)| *from <= first && last <= *to)?;
            let (_, observed) = self.runs.iter().find(|(own, _)| own == whole)?;
            return Some(Observed { links: Arc::clone(&self.links), ..Observed::clone(observed) });
        }
        let mut sum = Observed { links: Arc::clone(&self.links), ..Observed::default() };
        for lines in lines {
            let (_, observed) = self.runs.iter().find(|(own, _)| own == lines)?;
            sum.add(observed);
        }
        Some(sum)
    }
}

impl Observed {
    fn add(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.touched, &other.touched),
            (&mut self.listed, &other.listed),
            (&mut self.examined, &other.examined),
            (&mut self.missed, &other.missed),
            (&mut self.written, &other.written),
        ] {
            own.extend(others.iter().cloned());
        }
    }

    /// Why something that is written at `path` cannot change places with the command; nothing where it can: the command
    /// used nothing at or below the path, and of the folders above it only what the writing does not change.
    #[must_use]
    pub fn stands_against(&self, path: &str) -> Option<String> {
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            return Some("the command uses what is in /".to_owned());
        }
        if let Some(used) = self.at_or_below(path) {
            return Some(format!("the command was seen to use {used}"));
        }
        ancestors(path).find_map(|folder| {
            if self.links.contains(folder) {
                return Some(format!("{folder} is a link"));
            }
            let seen = |set: &BTreeSet<String>, did: &str| {
                set.contains(folder).then(|| format!("the command was seen to {did} {folder}"))
            };
            // What is known of the root folder beside its entries, no command asks to know.
            let asked = if folder == "/" { None } else { seen(&self.examined, "ask about") };
            seen(&self.listed, "list")
                .or_else(|| seen(&self.missed, "look for"))
                .or_else(|| seen(&self.written, "change"))
                .or(asked)
        })
    }

    /// Why two commands cannot change places; nothing where they can: neither used what the other one wrote.
    #[must_use]
    pub fn stands_against_command(&self, other: &Self) -> Option<String> {
        let uses = |one: &Self, other: &Self| other.written.iter().find_map(|path| one.stands_against(path));
        uses(self, other).or_else(|| uses(other, self))
    }

    /// Whether the users and groups may be others after the command.
    #[must_use]
    pub fn changes_owners(&self) -> bool {
        ["/etc/passwd", "/etc/group"].iter().any(|file| self.written.contains(*file))
    }

    fn at_or_below(&self, path: &str) -> Option<&String> {
        let (from, to) = (format!("{path}/"), format!("{path}0"));
        self.touched.get(path).or_else(|| self.touched.range(from..to).next())
    }
}

/// The folders above a clean path, the nearest first.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut left = Some(path);
    std::iter::from_fn(move || {
        let (folder, _) = left?.rsplit_once('/')?;
        left = (!folder.is_empty()).then_some(folder);
        Some(if folder.is_empty() { "/" } else { folder })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn what_was_used_at_below_or_above_stands_against_a_path() {
        let observed = Observed {
            touched: set(&["/app/x", "/usr/lib/a", "/opt", "/srv/data", "/data-1"]),
            listed: set(&["/usr/share"]),
            examined: set(&["/", "/var"]),
            missed: set(&["/none"]),
            written: set(&["/opt"]),
            links: Arc::new(set(&["/var/run"])),
        };
        for (path, reason) in [
            ("/app", Some("use /app/x")),
            ("/app/x", Some("use /app/x")),
            ("/app/y", None),
            ("/ap", None),
            ("/data", None),
            ("/data-1/x", None),
            ("/usr/share/doc/x", Some("list /usr/share")),
            ("/var/x", Some("ask about /var")),
            ("/none/x", Some("look for /none")),
            ("/opt/x", Some("change /opt")),
            ("/var/run/x", Some("is a link")),
            ("/", Some("/")),
        ] {
            let found = observed.stands_against(path);
            assert_eq!(found.is_some(), reason.is_some(), "{path}: {found:?}");
            assert!(found.is_none_or(|found| found.contains(reason.unwrap_or_default())), "{path}");
        }
        let lists_the_root = Observed { listed: set(&["/"]), ..Observed::default() };
        assert!(lists_the_root.stands_against("/app/x").is_some());
        assert!(!observed.changes_owners());
    }

    #[test]
    fn joined_commands_did_what_each_of_them_did() {
        let run = |path: &str| Arc::new(Observed { touched: set(&[path]), ..Observed::default() });
        let observations =
            Observations { runs: vec![((2, 2), run("/a")), ((4, 5), run("/b"))], ..Observations::default() };
        let all = [(2, 2), (4, 5), (7, 7)];
        let both = observations.within((2, 5), &all).expect("both were seen");
        assert_eq!(both.touched, set(&["/a", "/b"]));
        assert!(observations.within((2, 7), &all).is_none(), "one was not seen");
        assert!(observations.within((3, 3), &all).is_none(), "there is none");
        let piece = observations.within((5, 5), &all).expect("a piece of what was seen");
        assert_eq!(piece.touched, set(&["/b"]));
    }

    #[test]
    fn commands_change_places_where_neither_uses_what_the_other_wrote() {
        let command = |reads: &[&str], writes: &[&str]| Observed {
            touched: set(&[reads, writes].concat()),
            written: set(writes),
            ..Observed::default()
        };
        let one = command(&["/in"], &["/out/one"]);
        assert_eq!(one.stands_against_command(&command(&["/in"], &["/out/two"])), None);
        for other in [command(&["/out/one"], &[]), command(&[], &["/in"]), command(&[], &["/out"])] {
            assert!(one.stands_against_command(&other).is_some() && other.stands_against_command(&one).is_some());
        }
    }
}
