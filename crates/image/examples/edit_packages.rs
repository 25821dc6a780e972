//! Scratch driver.
use jettison_image::packages::{
    self,
    edit::{self, Change, Rest},
};
use jettison_image::{Layer, Limits, Node, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::{
    env, fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

fn walk(root: &Path, path: &Path, out: &mut tar::Builder<Vec<u8>>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(root.join(path)).unwrap().map(|e| path.join(e.unwrap().file_name())).collect();
    entries.sort();
    for e in entries {
        let m = fs::symlink_metadata(root.join(&e)).unwrap();
        let mut h = tar::Header::new_ustar();
        h.set_size(0);
        h.set_mode(0o755);
        if m.is_dir() {
            h.set_entry_type(tar::EntryType::Directory);
            out.append_data(&mut h, &e, &[][..]).unwrap();
            walk(root, &e, out);
        } else if m.is_symlink() {
            h.set_entry_type(tar::EntryType::Symlink);
            out.append_link(&mut h, &e, fs::read_link(root.join(&e)).unwrap()).unwrap();
        } else if m.is_file() {
            out.append_data(&mut h, &e, &[][..]).unwrap();
        }
    }
}
fn main() {
    let args: Vec<String> = env::args().collect();
    let root = Path::new(&args[1]);
    let rest = if args[2] == "purge" { Rest::Purge } else { Rest::Keep };
    let mut b = tar::Builder::new(Vec::new());
    b.follow_symlinks(false);
    walk(root, Path::new(""), &mut b);
    let bytes = b.into_inner().unwrap();
    let layer = Layer::read(bytes.as_slice(), Limits::default()).unwrap();
    let tree = Tree::of([&layer]).unwrap();
    let at = |p: &[u8]| root.join(std::ffi::OsString::from_vec(p.to_vec()));
    let mut read = |node: Node| fs::read(at(&tree.path(node))).ok();
    let all = packages::read(&tree, &mut read).unwrap();
    let all = &all[0];
    let gone: BTreeSet<usize> = args[3..].iter().map(|n| all.position(n).unwrap_or_else(|| panic!("{n}"))).collect();
    let edited = match edit::without(&tree, &mut read, all, &gone, rest) {
        Ok(e) => e,
        Err(e) => {
            eprintln!("ERROR {e}");
            std::process::exit(1)
        }
    };
    let changes: BTreeMap<Vec<u8>, Change> = edited.changes;
    for (p, c) in &changes {
        if let Change::Moved(f) = c {
            fs::rename(at(f), at(p)).unwrap();
        }
    }
    for (p, c) in changes.iter().rev() {
        let path = at(p);
        match c {
            Change::Gone => match fs::symlink_metadata(&path) {
                Ok(m) if m.is_dir() => fs::remove_dir(&path).unwrap_or_else(|e| eprintln!("{path:?}: {e}")),
                Ok(_) => fs::remove_file(&path).unwrap(),
                Err(_) => {}
            },
            Change::Content(x) => fs::write(&path, x).unwrap(),
            Change::Target(t) => {
                let _ = fs::remove_file(&path);
                std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(t), &path).unwrap();
            }
            Change::Moved(_) => {}
        }
    }
    println!("{} changes", changes.len());
}
