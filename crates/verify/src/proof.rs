//! Comparing the images of a Dockerfile's two forms: what a rewrite may change, what no two builds have in common, and
//! what refutes it.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use jettison_ir::source::SourceClaim;
use jettison_ir::{Because, Difference, Excused, Place, Verdict, Weighed};

use crate::forms::{are_plans, folder_of_log, same_but_for, tells_more};
use crate::packages::{Removal, shown};

/// What the verdict does not say of both images.
pub trait Contents {
    /// The content at a path before and after; none where that cannot be had.
    fn both(&mut self, path: &str) -> Option<(Vec<u8>, Vec<u8>)>;
    /// All that the image before has at a path and below it, each with whether it is a folder; none where the path is
    /// the base's, which no change claims.
    fn below(&mut self, path: &str) -> Option<Vec<(String, bool)>>;
}

/// Sorts the differences between the images of a Dockerfile and of its rewritten form. `noise` is what two builds of the
/// Dockerfile as it was differ in; `removal` is there where changes claim that packages are gone.
#[must_use]
pub fn weigh(
    verdict: Verdict,
    claims: &[SourceClaim],
    noise: &[Difference],
    contents: &mut dyn Contents,
    removal: Option<&Removal<'_, '_>>,
) -> Weighed {
    let gone = removal.map(|removal| removal.gone().to_vec()).unwrap_or_default();
    let mut weighed = Weighed { paths: verdict.paths, gone, ..Weighed::default() };
    // What is known of a path's content holds for its size as well.
    let mut formed: BTreeMap<String, Option<Because>> = BTreeMap::new();
    let mut counted = HashSet::new();
    // What the databases say goes before its many consequences.
    let of_packages = removal.into_iter().flat_map(|removal| removal.differences().iter().cloned());
    let found: Vec<Difference> = of_packages.chain(verdict.differences.into_iter().filter(counts)).collect();
    for difference in &found {
        let because = match &difference.place {
            Place::Path(path) if is_claimed(path, difference, claims, contents) => Some(Because::Claimed),
            Place::Path(path)
                if removal.is_some_and(|removal| is_of_packages(path, difference, claims, contents, removal)) =>
            {
                let bytes = |removal: &Removal<'_, '_>| removal.bytes_below(path, &mut counted);
                if is_missing(difference) {
                    weighed.gone_bytes += removal.map_or(0, bytes);
                }
                Some(Because::Packages)
            }
            Place::Path(path) if is_another_log(path, difference, &found) => {
                Some(Because::Form("the time in a log's name".to_owned()))
            }
            Place::Path(path) if is_content(difference) => {
                let known = formed.entry(path.clone()).or_insert_with(|| {
                    let (before, after) = contents.both(path)?;
                    let form = same_but_for(path, &before, &after)
                        .or_else(|| same_but_for_claims(path, &before, &after, &patterns(claims)));
                    form.map(|form| Because::Form(form.to_owned()))
                });
                known.clone().or_else(|| is_noise(difference, &found, noise).then_some(Because::Noise))
            }
            _ => is_noise(difference, &found, noise).then_some(Because::Noise),
        };
        let difference = difference.clone();
        match because {
            Some(because) => weighed.excused.push(Excused { difference, because }),
            None => weighed.refuting.push(difference),
        }
    }
    weighed
}

/// Whether a difference is one that two builds need not have.
pub(crate) fn counts(difference: &Difference) -> bool {
    // Every build has times and a history of its own.
    match &difference.place {
        Place::Path(_) => difference.what != "mtime",
        Place::Setting(name) => !["created", "history"].contains(&name.as_str()),
        Place::Package(_) => true,
    }
}

fn is_content(difference: &Difference) -> bool {
    ["content", "size"].contains(&difference.what.as_str())
}

fn is_missing(difference: &Difference) -> bool {
    difference.what == "path" && difference.after.is_none()
}

/// Whether a difference is all about packages that are gone as a change says.
fn is_of_packages(
    path: &str,
    difference: &Difference,
    claims: &[SourceClaim],
    contents: &mut dyn Contents,
    removal: &Removal<'_, '_>,
) -> bool {
    match difference.what.as_str() {
        "hard links" => false,
        _ if removal.is_stood_in_for(path) => true,
        "content" | "size" => removal.is_same_database(path),
        "target" => removal.is_led_elsewhere(path),
        "path" if is_missing(difference) => {
            // In a folder that is gone something else may be that another change claims.
            let patterns = if contents.below(path).is_some() { patterns(claims) } else { Vec::new() };
            removal.is_same_database(path)
                || removal.covers(path, &|path, is_folder| is_matched(&patterns, &shown(path), is_folder))
        }
        "path" => removal.is_same_database(path),
        _ => false,
    }
}

/// Whether a change says that a path will be missing.
fn is_claimed(path: &str, difference: &Difference, claims: &[SourceClaim], contents: &mut dyn Contents) -> bool {
    let patterns = patterns(claims);
    // A folder is gone with what was in it: all of that is claimed, or leads to what is.
    is_missing(difference)
        && is_matched(&patterns, path, true)
        && contents
            .below(path)
            .is_some_and(|all| all.iter().all(|(path, is_folder)| is_matched(&patterns, path, *is_folder)))
}

fn patterns(claims: &[SourceClaim]) -> Vec<&str> {
    let patterns = claims.iter().flat_map(|claim| match claim {
        SourceClaim::Gone(patterns) => patterns.as_slice(),
        SourceClaim::Same | SourceClaim::PackagesGone(_) | SourceClaim::BuildOnly => &[],
    });
    patterns.map(String::as_str).collect()
}

fn is_matched(patterns: &[&str], path: &str, is_folder: bool) -> bool {
    patterns.iter().any(|pattern| matches(pattern, path) || (is_folder && leads_to(pattern, path)))
}

/// Whether what a pattern matches lies below a path.
fn leads_to(pattern: &str, path: &str) -> bool {
    let (wanted, found) = (pattern.split('/').count(), path.split('/').count());
    wanted > found
        && pattern.split('/').zip(path.split('/')).all(|(one, other)| matches_name(one.as_bytes(), other.as_bytes()))
}

/// `*` stands for any part of one name, a trailing `/**` for all that is below.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, is_below) = match pattern.strip_suffix("/**") {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, rest) => return rest.is_some() == is_below,
            (Some(_), None) => return false,
            (Some(wanted), Some(found)) => {
                if !matches_name(wanted.as_bytes(), found.as_bytes()) {
                    return false;
                }
            }
        }
    }
}

fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|at| matches_name(rest, &name[at..])),
        Some((first, rest)) => name.split_first().is_some_and(|(own, name)| own == first && matches_name(rest, name)),
    }
}

/// Whether two builds of one file differ there in the same. `found` are all differences that were found.
fn is_noise(difference: &Difference, found: &[Difference], noise: &[Difference]) -> bool {
    let is_known = noise.iter().any(|noise| {
        let is_same_kind = noise.what == difference.what || (is_content(noise) && is_content(difference));
        is_same_kind && noise.place == difference.place
    });
    is_known || is_random_name(difference, found, noise)
}

/// What contents differ in at most, where that is something which follows from what is claimed to be gone.
fn same_but_for_claims(path: &str, before: &[u8], after: &[u8], patterns: &[&str]) -> Option<&'static str> {
    let is_gone = |folder: &str| is_matched(patterns, &format!("{folder}/a"), false);
    if is_gone("/var/lib/apt/lists") && are_plans(path, before, after) {
        return Some("what apt knew from its lists");
    }
    let emptied =
        ["/var/cache/dnf", "/var/cache/yum", "/var/cache/libdnf5", "/var/cache/zypp"].into_iter().any(is_gone);
    (emptied && tells_more(path, before, after)).then_some("what a log tells of emptied caches")
}

/// Whether it is a file of a kind that every call of a program names by its time, and as many of them are new in that
/// folder as are missing.
fn is_another_log(path: &str, difference: &Difference, found: &[Difference]) -> bool {
    let of_file = |difference: &Difference| {
        let is_file = |side: &Option<String>| side.as_ref().is_none_or(|side| side.starts_with("file of "));
        difference.what == "path" && is_file(&difference.before) && is_file(&difference.after)
    };
    let folder = folder_of_log(path).filter(|_| of_file(difference));
    folder.is_some_and(|folder| {
        let count = |is_new: bool| {
            let is_like = |other: &&Difference| match &other.place {
                Place::Path(path) => {
                    of_file(other) && other.before.is_none() == is_new && folder_of_log(path) == Some(folder)
                }
                Place::Setting(_) | Place::Package(_) => false,
            };
            found.iter().filter(is_like).count()
        };
        count(true) == count(false)
    })
}

/// Whether a new path has a name that is another one in every build: the second build of the original has as many new
/// ones of that shape in that folder, and they are the same but for their names.
fn is_random_name(difference: &Difference, found: &[Difference], noise: &[Difference]) -> bool {
    let Some((key, _)) = new_name(difference) else { return false };
    let like_it = |differences: &[Difference]| {
        let new = differences.iter().filter_map(new_name).filter(|(other, _)| *other == key);
        let mut what: Vec<String> = new.map(|(_, what)| what.to_owned()).collect();
        what.sort_unstable();
        what
    };
    like_it(found) == like_it(noise)
}

/// Of a path that is new: its folder and the shape of its name, and what it is.
fn new_name(difference: &Difference) -> Option<((&str, String), &str)> {
    let (Place::Path(path), "path", None) = (&difference.place, difference.what.as_str(), &difference.before) else {
        return None;
    };
    let (folder, name) = path.rsplit_once('/')?;
    Some(((folder, shape(name)), difference.after.as_deref()?))
}

/// A name with its letters and digits all alike.
fn shape(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { 'x' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(Option<(Vec<u8>, Vec<u8>)>);

    impl Contents for Files {
        fn both(&mut self, _: &str) -> Option<(Vec<u8>, Vec<u8>)> {
            self.0.clone()
        }

        fn below(&mut self, path: &str) -> Option<Vec<(String, bool)>> {
            let all: &[(&str, bool)] = match path {
                "/root/.cache" => &[("/root/.cache", true), ("/root/.cache/pip", true), ("/root/.cache/pip/x", false)],
                "/srv/.cache" => &[("/srv/.cache", true), ("/srv/.cache/pip", true), ("/srv/.cache/other", false)],
                "/base/.cache" => return None,
                path => &[(path, false)],
            };
            Some(all.iter().map(|(path, is_folder)| ((*path).to_owned(), *is_folder)).collect())
        }
    }

    fn difference(path: &str, what: &str, before: Option<&str>, after: Option<&str>) -> Difference {
        let text = |side: Option<&str>| side.map(str::to_owned);
        Difference {
            place: Place::Path(path.to_owned()),
            what: what.to_owned(),
            before: text(before),
            after: text(after),
        }
    }

    fn weighed(
        found: &Difference,
        claims: &[SourceClaim],
        noise: &[Difference],
        files: Option<(&[u8], &[u8])>,
    ) -> Weighed {
        let verdict = Verdict { paths: 1, differences: vec![found.clone()] };
        let files = files.map(|(before, after)| (before.to_vec(), after.to_vec()));
        weigh(verdict, claims, noise, &mut Files(files), None)
    }

    fn refuted(weighed: &Weighed) -> bool {
        !weighed.refuting.is_empty()
    }

    #[test]
    fn patterns_match_names_and_what_is_below() {
        for (pattern, path, expected) in [
            ("/var/cache/apk/**", "/var/cache/apk/x", true),
            ("/var/cache/apk/**", "/var/cache/apk/x/y", true),
            ("/var/cache/apk/**", "/var/cache/apk", false),
            ("/var/cache/apk/**", "/var/cache/apkx/y", false),
            ("/tmp/*.tar", "/tmp/a.tar", true),
            ("/tmp/*.tar", "/tmp/a/b.tar", false),
            ("/tmp/*.tar", "/tmp/a.tar.gz", false),
            ("/root/.cache", "/root/.cache", true),
            ("/root/.cache", "/root/.cache/x", false),
            ("/usr/*/x/**", "/usr/lib/x/y/z", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn only_missing_paths_are_claimed() {
        let claims = [SourceClaim::Gone(vec!["/var/cache/**".to_owned()])];
        let gone = difference("/var/cache/x", "path", Some("file of 3 bytes"), None);
        assert_eq!(weighed(&gone, &claims, &[], None).excused[0].because, Because::Claimed);
        for other in [
            difference("/var/cache/x", "path", None, Some("file of 3 bytes")),
            difference("/var/cache/x", "mode", Some("0644"), Some("0600")),
            difference("/var/lib/x", "path", Some("directory"), None),
        ] {
            assert!(refuted(&weighed(&other, &claims, &[], None)), "{other}");
        }
        assert!(refuted(&weighed(&gone, &[SourceClaim::Same], &[], None)));
    }

    #[test]
    fn folders_are_gone_with_what_was_in_them_alone() {
        let claims = [SourceClaim::Gone(vec!["/*/.cache/pip/**".to_owned()])];
        let gone =
            |path: &str| !refuted(&weighed(&difference(path, "path", Some("directory"), None), &claims, &[], None));
        assert!(gone("/root/.cache"));
        assert!(!gone("/srv/.cache"), "it holds something else");
        assert!(!gone("/base/.cache"), "it is the base's");
        assert!(!gone("/root/.config"));
    }

    #[test]
    fn times_and_history_are_of_each_build() {
        let time = difference("/x", "mtime", Some("1"), Some("2"));
        let weighed = weighed(&time, &[], &[], None);
        assert!(weighed.excused.is_empty() && !refuted(&weighed));
    }

    #[test]
    fn noise_is_of_the_same_place_and_kind() {
        let content = difference("/x", "content", Some("a"), Some("b"));
        let noise = [difference("/x", "content", Some("a"), Some("c"))];
        assert_eq!(weighed(&content, &[], &noise, None).excused[0].because, Because::Noise);
        assert!(refuted(&weighed(&content, &[], &[], None)));
        let mode = difference("/x", "mode", Some("0644"), Some("0600"));
        assert!(refuted(&weighed(&mode, &[], &noise, None)), "another kind");
        let size = difference("/x", "size", Some("1"), Some("2"));
        assert!(!refuted(&weighed(&size, &[], &noise, None)));
    }

    #[test]
    fn random_names_are_as_many_as_in_a_second_build() {
        let file = Some("file of 3 bytes");
        let gone = |path: &str| difference(path, "path", file, None);
        let new = |path: &str| difference(path, "path", None, file);
        let noise = [gone("/tmp/t.Ab3"), new("/tmp/t.Cd4")];
        let refuting = |found: &[Difference]| {
            let verdict = Verdict { paths: 1, differences: found.to_vec() };
            let weighed = weigh(verdict, &[], &noise, &mut Files(None), None);
            weighed.refuting.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(refuting(&[gone("/tmp/t.Ab3"), new("/tmp/t.Zx9")]), [""; 0]);
        assert_eq!(refuting(&[gone("/tmp/t.Ab3"), gone("/tmp/t.Own"), new("/tmp/t.Zx9")]).len(), 1, "one more is gone");
        assert_eq!(refuting(&[gone("/tmp/t.Ab3"), new("/tmp/t.Zx9"), new("/tmp/t.Own")]).len(), 2, "one more is new");
        let other = difference("/tmp/t.Zx9", "path", None, Some("file of 4 bytes"));
        assert_eq!(refuting(&[gone("/tmp/t.Ab3"), other]).len(), 1, "it is something else");
        assert_eq!(refuting(&[new("/srv/t.Zx9")]).len(), 1, "another folder");
        assert_eq!(refuting(&[new("/tmp/longer")]).len(), 1, "another shape");
    }

    #[test]
    fn logs_that_are_named_by_their_time_are_as_many_as_there_were() {
        let path = |time: u32| format!("/root/.npm/_logs/2026-11-26T13_21_43_{time}Z-debug-0.log");
        let old = |time: u32| difference(&path(time), "path", Some("file of 3161 bytes"), None);
        let new = |time: u32| difference(&path(time), "path", None, Some("file of 3160 bytes"));
        let refuting = |differences: &[Difference]| {
            let verdict = Verdict { paths: 1, differences: differences.to_vec() };
            weigh(verdict, &[], &[], &mut Files(None), None).refuting
        };
        assert_eq!(refuting(&[old(100), new(200)]), []);
        assert_eq!(refuting(&[old(100), old(101), new(200), new(201)]), []);
        assert_eq!(refuting(&[old(100), new(200), new(201)]).len(), 3, "one more");
        assert_eq!(refuting(&[old(100)]).len(), 1, "none any more");
        let folder = difference(&path(200), "path", None, Some("directory"));
        assert_eq!(refuting(&[old(100), folder]).len(), 2, "no log");
        let mode = difference(&path(100), "mode", Some("0644"), Some("0600"));
        assert_eq!(refuting(&[old(101), new(200), mode]).len(), 1, "another mode");
    }

    #[test]
    fn what_apt_planned_with_depends_on_its_lists() {
        let found = |path: &str| difference(path, "content", Some("a"), Some("b"));
        let log = "/var/log/apt/eipp.log.xz";
        let lists = [SourceClaim::Gone(vec!["/var/lib/apt/lists/**".to_owned()])];
        let others = [SourceClaim::Gone(vec!["/var/cache/**".to_owned()])];
        let files: Option<(&[u8], &[u8])> = Some((b"\xfd7zXZ\0one", b"\xfd7zXZ\0other"));
        assert!(!refuted(&weighed(&found(log), &lists, &[], files)));
        assert!(refuted(&weighed(&found(log), &others, &[], files)));
        assert!(refuted(&weighed(&found("/var/log/apt/other.log.xz"), &lists, &[], files)));
        assert!(refuted(&weighed(&found(log), &lists, &[], Some((b"\xfd7zXZ\0one", b"other")))));
    }

    #[test]
    fn logs_may_tell_of_emptied_caches() {
        let found = |path: &str| difference(path, "content", Some("a"), Some("b"));
        let claims = |folder: &str| [SourceClaim::Gone(vec![format!("{folder}/**")])];
        let log = "/var/log/dnf.rpm.log";
        let before = b"2026-11-26T15:44:14+0000 Installed: a\n2026-11-26T15:44:14+0000 Installed: b\n";
        let check = |path: &str, folder: &str, after: &[u8]| {
            !refuted(&weighed(&found(path), &claims(folder), &[], Some((before, after))))
        };
        let more = b"2026-11-26T15:47:14+0000 Installed: a\n2026-11-26T15:47:14+0000 Installed: b\n2026-11-26T15:47:15+0000 x\n";
        assert!(check(log, "/var/cache/dnf", more));
        assert!(!check(log, "/var/lib/apt/lists", more), "no cache of its own is claimed");
        assert!(!check("/var/log/app.log", "/var/cache/dnf", more), "another log");
        let less = b"2026-11-26T15:47:14+0000 Installed: a\n2026-11-26T15:47:15+0000 x\n";
        assert!(!check(log, "/var/cache/dnf", less), "a line is gone");
    }

    #[test]
    fn forms_count_before_noise() {
        let content = difference("/etc/machine-id", "content", Some("a"), Some("b"));
        let (before, after) = ("a".repeat(32), "b".repeat(32));
        let found = weighed(&content, &[], &[], Some((before.as_bytes(), after.as_bytes())));
        assert!(matches!(&found.excused[0].because, Because::Form(form) if form.contains("machine")));
        assert!(refuted(&weighed(&content, &[], &[], Some((before.as_bytes(), b"x")))));
    }
}
