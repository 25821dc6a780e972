//! What must hold of every failure: the exit code, a message that says where, and targets as they were.

use std::fs;

use crate::image::Image;
use crate::place::{Files, Layout, Packing};
use crate::run::{Folder, finish, jettison, run, state};

/// Places that a run reads from and must not write to.
pub(crate) struct Scene {
    pub(crate) folder: Folder,
}

impl Scene {
    /// A scene with an archive and a layout that stand at the targets.
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        fs::write(folder.at("archive"), "precious").expect("writes");
        let other =
            Image::of("config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1\n f 0644 0:0 \"other\" /other");
        Layout::of(&other, Packing::Gzip, "other:1").files().to_folder(folder.at("layout"));
        fs::create_dir(folder.at("tmp")).expect("makes a folder");
        Self { folder }
    }

    /// Puts an archive or, for `oci:`, a folder in place; gives the argument that names it.
    pub(crate) fn place(&self, transport: &str, files: &Files) -> String {
        let path = self.folder.at("in");
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        if transport == "oci" {
            files.to_folder(&path);
        } else {
            files.to_archive(&path);
        }
        format!("{transport}:{path}")
    }

    /// Every command that reads refuses `arguments` with code 3 and a message of these parts; the targets,
    /// and what is beside them, stay as they are.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &str, parts: &[&str]) {
        run(&format!("weigh {arguments}")).fails(3, parts);
        run(&format!("dump {arguments}")).fails(3, parts);
        self.leaves_targets(arguments, 3, parts);
    }

    /// The same for what can be read and shown, and only not be optimized.
    #[track_caller]
    pub(crate) fn leaves_targets(&self, arguments: &str, code: i32, parts: &[&str]) {
        let before = state(self.folder.path());
        for (transport, target) in
            [("oci-archive", "archive"), ("docker-archive", "none"), ("oci", "layout"), ("oci", "none")]
        {
            let line = format!("optimize {arguments} -o {transport}:{}", self.folder.at(target));
            let mut command = jettison(&line);
            command.env("TMPDIR", self.folder.at("tmp"));
            finish(command, &line).fails(code, parts);
            assert!(state(self.folder.path()) == before, "{line} leaves {:?}", self.folder.names());
        }
    }
}
