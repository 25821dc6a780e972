//! Who `USER` and `--chown` mean: names and numbers, looked up in the root's own `/etc/passwd` and `/etc/group`.
//!
//! The files are an image's, so they are hostile: they are opened within the root, must be regular and are read up
//! to a limit. Lines with a user's name but no readable numbers are skipped.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use thiserror::Error;

use crate::plan::Owner;
use crate::sandbox::User;

/// More than the largest files in use by far.
const LIMIT: u64 = 16 << 20;
const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";

/// Why a user or group is not known.
#[derive(Debug, Error)]
pub enum UserError {
    /// It is in no line.
    #[error("user {user:?} is not in the image's /etc/passwd")]
    UnknownUser {
        /// As written.
        user: String,
    },
    /// It is in no line.
    #[error("group {group:?} is not in the image's /etc/group")]
    UnknownGroup {
        /// As written.
        group: String,
    },
    /// A number that no user or group can have.
    #[error("the id {id} is out of range: ids go up to 2147483647")]
    Range {
        /// As written.
        id: String,
    },
    /// A file cannot be read.
    #[error("cannot read the image's /{path}")]
    Read {
        /// Relative to the root.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It is something else than a regular file, or too large.
    #[error("the image's /{path} is no regular file of at most {LIMIT} bytes")]
    Unfit {
        /// Relative to the root.
        path: &'static str,
    },
}

struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Finds the user that a command runs as: nothing for root, or a name or number, with or without `:GROUP`.
///
/// A number is never a name and need not be in the files. Supplementary groups count where no group is given. The
/// primary group is one of the groups.
///
/// # Errors
/// Where a name is unknown, a number too large, or a file that is there cannot be read.
pub fn find(root: &Path, user: &str) -> Result<User, UserError> {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let wanted = if user.is_empty() { Some(0) } else { number(user)? };
    let accounts = accounts(&read(root, PASSWD)?);
    let account = accounts.into_iter().find(|account| match wanted {
        Some(uid) => account.uid == uid,
        None => account.name == user,
    });
    let (uid, mut gid, home, name) = match (account, wanted) {
        (Some(account), _) => (account.uid, account.gid, account.home, Some(account.name)),
        (None, Some(uid)) => (uid, 0, String::new(), None),
        (None, None) => return Err(UserError::UnknownUser { user: user.to_owned() }),
    };
    let mut supplementary = Vec::new();
    if !group.is_empty() {
        gid = group_number(root, group)?;
    } else if let Some(name) = name {
        let member = groups(&read(root, GROUP)?).into_iter().filter(|group| group.members.contains(&name));
        supplementary.extend(member.map(|group| group.gid));
    }
    let mut all = vec![gid];
    for group in supplementary {
        if !all.contains(&group) {
            all.push(group);
        }
    }
    let home = match (home.is_empty(), uid) {
        (false, _) => home,
        (true, 0) => "/root".to_owned(),
        (true, _) => "/".to_owned(),
    };
    Ok(User { uid, gid, groups: all, home: home.into_bytes() })
}

/// The numbers that `--chown` means. A number alone is the group's too; a name alone brings the group that
/// `/etc/passwd` names.
///
/// # Errors
/// As for [`find`].
pub fn owner(root: &Path, owner: &Owner) -> Result<(u32, u32), UserError> {
    let (uid, primary) = match number(&owner.user)? {
        Some(uid) => (uid, uid),
        None if owner.user.is_empty() => (0, 0),
        None => {
            let account = accounts(&read(root, PASSWD)?).into_iter().find(|account| account.name == owner.user);
            let unknown = || UserError::UnknownUser { user: owner.user.clone() };
            account.map(|account| (account.uid, account.gid)).ok_or_else(unknown)?
        }
    };
    match owner.group.as_deref() {
        None | Some("") => Ok((uid, primary)),
        Some(group) => Ok((uid, group_number(root, group)?)),
    }
}

fn group_number(root: &Path, group: &str) -> Result<u32, UserError> {
    if let Some(gid) = number(group)? {
        return Ok(gid);
    }
    let found = groups(&read(root, GROUP)?).into_iter().find(|known| known.name == group);
    found.map(|known| known.gid).ok_or_else(|| UserError::UnknownGroup { group: group.to_owned() })
}

/// The number that this is, if it is one.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<i32>() {
        Ok(number) => Ok(u32::try_from(number).ok()),
        Err(_) => Err(UserError::Range { id: text.to_owned() }),
    }
}

/// A file's text; none where there is no such file.
fn read(root: &Path, path: &'static str) -> Result<String, UserError> {
    let failed = |error: io::Error| UserError::Read { path, source: error };
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, folder, Mode::empty()).map_err(|error| failed(error.into()))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let confined = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(&root, path, flags, Mode::empty(), confined) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(error) => return Err(failed(error.into())),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return Err(UserError::Unfit { path });
    }
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).map(|line| line.split(':').collect())
}

fn accounts(text: &str) -> Vec<Account> {
    let account = |fields: Vec<&str>| {
        Some(Account {
            name: (*fields.first()?).to_owned(),
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
            home: (*fields.get(5).unwrap_or(&"")).to_owned(),
        })
    };
    lines(text).filter_map(account).collect()
}

fn groups(text: &str) -> Vec<Group> {
    let group = |fields: Vec<&str>| {
        let members = fields.get(3).unwrap_or(&"").split(',').filter(|name| !name.is_empty());
        Some(Group {
            name: (*fields.first()?).to_owned(),
            gid: fields.get(2)?.parse().ok()?,
            members: members.map(str::to_owned).collect(),
        })
    };
    lines(text).filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let passwd = "# a comment\nbroken:x\nbad:x:one:1::/:\nroot:x:0:0:root:/root:/bin/sh\n\
                      app:x:1000:1001:App:/srv/app:/bin/sh\n77:x:5:6::/seven:\nbare:x:9:9\n";
        fs::write(root.path().join(PASSWD), passwd).unwrap();
        let group = "root:x:0:\nweb:x:33:app,other\nlog:x:4:other,app\napp:x:1001:app\nodd:x:none:app\n";
        fs::write(root.path().join(GROUP), group).unwrap();
        root
    }

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> User {
        User { uid, gid, groups: groups.to_vec(), home: home.as_bytes().to_vec() }
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = root();
        let cases = [
            ("", user(0, 0, &[0], "/root")),
            ("app", user(1000, 1001, &[1001, 33, 4], "/srv/app")),
            ("1000", user(1000, 1001, &[1001, 33, 4], "/srv/app")),
            ("app:web", user(1000, 33, &[33], "/srv/app")),
            ("app:7", user(1000, 7, &[7], "/srv/app")),
            // A number is never a name, even where a user is called so.
            ("77", user(77, 0, &[0], "/")),
            ("4242", user(4242, 0, &[0], "/")),
            ("4242:4243", user(4242, 4243, &[4243], "/")),
            ("bare", user(9, 9, &[9], "/")),
        ];
        for (text, expected) in cases {
            assert_eq!(find(root.path(), text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn owners_are_a_number_for_both_or_what_the_files_say() {
        let root = root();
        let of = |user: &str, group: Option<&str>| {
            owner(root.path(), &Owner { user: user.to_owned(), group: group.map(str::to_owned) })
        };
        assert_eq!(of("12", None).unwrap(), (12, 12));
        assert_eq!(of("1000", None).unwrap(), (1000, 1000));
        assert_eq!(of("app", None).unwrap(), (1000, 1001));
        assert_eq!(of("app", Some("web")).unwrap(), (1000, 33));
        assert_eq!(of("12", Some("13")).unwrap(), (12, 13));
        assert!(matches!(of("nobody", None), Err(UserError::UnknownUser { .. })));
        assert!(matches!(of("12", Some("no")), Err(UserError::UnknownGroup { .. })));
    }

    #[test]
    fn what_is_unknown_is_named() {
        let root = root();
        assert_eq!(
            find(root.path(), "ghost").unwrap_err().to_string(),
            "user \"ghost\" is not in the image's /etc/passwd"
        );
        assert_eq!(
            find(root.path(), "app:ghost").unwrap_err().to_string(),
            "group \"ghost\" is not in the image's /etc/group"
        );
        assert!(matches!(find(root.path(), "bad"), Err(UserError::UnknownUser { .. })));
        assert!(matches!(find(root.path(), "4294967296"), Err(UserError::Range { .. })));
    }

    #[test]
    fn a_root_without_the_files_knows_numbers_only() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(find(root.path(), "").unwrap(), user(0, 0, &[0], "/root"));
        assert!(find(root.path(), "app").is_err());
    }

    #[test]
    fn links_stay_in_the_root_and_special_files_are_refused() {
        let root = root();
        let passwd = root.path().join(PASSWD);
        fs::rename(&passwd, root.path().join("real")).unwrap();
        std::os::unix::fs::symlink("/../../real", &passwd).unwrap();
        assert_eq!(find(root.path(), "app").unwrap().uid, 1000);
        fs::remove_file(&passwd).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &passwd, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(find(root.path(), "app"), Err(UserError::Unfit { .. })));
    }
}
