//! A place beside the target where output is made, and the one rename that makes it visible.
//!
//! Whatever happens before the rename, the target is as it was. What a killed run leaves behind is
//! recognised by its name and its lock, and removed by the next run to the same target.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use crate::error::{Error, Result};

/// Marks the folders made here.
const MARK: &str = ".jettison-";

/// The folders of this process that an interruption must remove.
static STAGES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes what unfinished outputs of this process left, for use where it is about to be ended: no output
/// can be started or put in place afterwards.
pub fn remove_all_stages() {
    let Ok(stages) = STAGES.lock() else { return };
    for stage in stages.iter() {
        // Other threads may be making files in it all the while.
        for _ in 0..100 {
            match fs::remove_dir_all(stage) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => break,
            }
        }
    }
    // Locked until the process ends, so that nothing half removed takes the place of a target.
    std::mem::forget(stages);
}

/// A folder beside the target, removed with all it holds when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: PathBuf,
    target: PathBuf,
    /// Holds the lock that tells a running process's stage from a leftover.
    _lock: File,
}

impl Stage {
    pub(crate) fn beside(target: &Path) -> Result<Self> {
        let failed = Error::io("write beside", target);
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let prefix = format!(".{name}{MARK}");
        remove_leftovers(&parent, &prefix);
        // An interruption waits until the folder is known, and thus removed.
        let stages = STAGES.lock();
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent).and_then(|folder| {
            let lock = File::open(folder.path())?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            Ok((folder.keep(), lock))
        });
        let (folder, lock) = made.map_err(failed)?;
        if let Ok(mut stages) = stages {
            stages.push(folder.clone());
        }
        Ok(Self { folder, target: target.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Puts what was made under `name` in the target's place. A folder that takes the place of another is
    /// exchanged with it in one step, so that there is no moment without one; a file never takes a folder's.
    pub(crate) fn publish(&self, name: &str) -> Result<()> {
        let made = self.path(name);
        // An interruption must not be removing what is put in place.
        let _stages = STAGES.lock();
        let renamed = if made.is_dir() && self.target.is_dir() {
            renameat_with(CWD, &made, CWD, &self.target, RenameFlags::EXCHANGE).map_err(io::Error::from)
        } else {
            fs::rename(&made, &self.target)
        };
        renamed.map_err(Error::io("put the result in place at", &self.target))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        if let Ok(mut stages) = STAGES.lock() {
            stages.retain(|stage| *stage != self.folder);
        }
    }
}

fn remove_leftovers(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        let path = entry.path();
        let unlocked =
            File::open(&path).is_ok_and(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok());
        if unlocked {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_shows_before_it_is_published_and_nothing_is_left_after() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        for text in ["first", "second"] {
            let stage = Stage::beside(&target).expect("a stage");
            fs::write(stage.path("made"), text).expect("writes");
            assert_ne!(fs::read_to_string(&target).ok().as_deref(), Some(text));
            stage.publish("made").expect("publishes");
            drop(stage);
            assert_eq!(fs::read_to_string(&target).expect("reads"), text);
            assert_eq!(names(folder.path()), ["target"]);
        }
        drop(Stage::beside(&target).expect("a stage"));
        assert_eq!(names(folder.path()), ["target"]);
    }

    #[test]
    fn a_folder_takes_the_place_of_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        fs::create_dir(&target).expect("makes a folder");
        fs::write(target.join("old"), "").expect("writes");
        let stage = Stage::beside(&target).expect("a stage");
        fs::create_dir(stage.path("made")).expect("makes a folder");
        fs::write(stage.path("made").join("new"), "").expect("writes");
        stage.publish("made").expect("publishes");
        drop(stage);
        assert_eq!((names(&target), names(folder.path())), (vec!["new".to_owned()], vec!["target".to_owned()]));
    }

    #[test]
    fn a_file_never_takes_the_place_of_a_folder_nor_a_folder_of_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (home, file) = (folder.path().join("home"), folder.path().join("file"));
        fs::create_dir(&home).expect("makes a folder");
        fs::write(home.join("letter"), "").expect("writes");
        fs::write(&file, "precious").expect("writes");
        let stage = Stage::beside(&home).expect("a stage");
        fs::write(stage.path("made"), "").expect("writes");
        assert!(matches!(stage.publish("made"), Err(Error::Io { .. })));
        drop(stage);
        let stage = Stage::beside(&file).expect("a stage");
        fs::create_dir(stage.path("made")).expect("makes a folder");
        assert!(matches!(stage.publish("made"), Err(Error::Io { .. })));
        drop(stage);
        assert_eq!(
            (names(&home), fs::read_to_string(&file).expect("reads")),
            (vec!["letter".to_owned()], "precious".to_owned())
        );
    }

    #[test]
    fn leftovers_of_the_same_target_go_and_all_else_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("app");
        for name in [".app.jettison-dead", ".app2.jettison-dead", ".app.jettison", "app.jettison-x", ".app"] {
            fs::create_dir(folder.path().join(name)).expect("makes a folder");
            fs::write(folder.path().join(name).join("blob"), "").expect("writes");
        }
        let running = Stage::beside(&target).expect("a stage");
        drop(Stage::beside(&target).expect("a stage"));
        let mut expected = vec![".app", ".app.jettison", ".app2.jettison-dead", "app.jettison-x"];
        let name = running.folder.file_name().expect("a name").to_str().expect("UTF-8");
        expected.push(name);
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn a_target_without_a_folder_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(Stage::beside(&folder.path().join("none/target")), Err(Error::Io { .. })));
    }
}
