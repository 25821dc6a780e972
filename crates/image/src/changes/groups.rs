//! The group that a path belongs to: what changes together, told by names alone.

/// Paths that change together, from one release to the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Who says that they belong together.
    pub kind: GroupKind,
    /// The name under this kind, without a version.
    pub name: String,
}

/// Who says that paths belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKind {
    /// The database of a package manager.
    Package,
    /// A folder of Python distributions.
    Python,
    /// A folder of Node packages.
    Node,
    /// A folder of Ruby gems.
    Gem,
    /// A folder of modules that an application or a compiler brought: `vendor`, `go/pkg/mod`, cargo's registry.
    Module,
    /// Any other tree of the system.
    Tree,
    /// A tree that is none of the system's: the application.
    Application,
    /// What changes with every release: databases, caches, logs, and the folders themselves.
    State,
}

/// Folders below `/` that are the system's.
const SYSTEM: [&str; 19] = [
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc", "root", "run",
    "sbin", "sys", "tmp", "usr", "var",
];

/// Trees of the system in which applications are put.
const APPLICATIONS: [&str; 2] = ["usr/src", "var/www"];

/// What every release changes: paths and all below them.
const STATE: [&str; 17] = [
    "etc/apk/world",
    "etc/ld.so.cache",
    "lib/apk",
    "run",
    "tmp",
    "usr/lib/apk",
    "usr/lib/sysimage/rpm",
    "var/cache",
    "var/lib/apk",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/lib/pacman",
    "var/lib/rpm",
    "var/lib/systemd",
    "var/log",
    "var/run",
    "var/tmp",
];

impl Group {
    fn new(kind: GroupKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }

    /// The group of what every release changes.
    #[must_use]
    pub fn state() -> Self {
        Self::new(GroupKind::State, "")
    }

    /// What people call it.
    pub(super) fn title(&self) -> String {
        match self.kind {
            GroupKind::State => "databases, caches and folders".to_owned(),
            GroupKind::Tree | GroupKind::Application => format!("/{}", self.name),
            _ => self.name.clone(),
        }
    }

    /// The group of a path without a leading slash. `owner` gives the name of the package that has a path.
    pub fn of<'o>(path: &[u8], owner: impl Fn(&[u8]) -> Option<&'o str>) -> Self {
        let text = String::from_utf8_lossy(path);
        let is_below =
            |folder: &str| text.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_backup = text.strip_prefix("etc/").is_some_and(|name| !name.contains('/') && name.ends_with('-'));
        if is_backup || STATE.iter().any(|folder| is_below(folder)) {
            return Self::state();
        }
        let module = compiled_from(&text);
        let owned = owner(path).or_else(|| owner(module.as_ref()?.as_bytes()));
        if let Some(name) = owned {
            return Self::new(GroupKind::Package, name);
        }
        let parts: Vec<&str> = module.as_deref().unwrap_or(&text).split('/').collect();
        if let Some(group) = Self::of_language(&parts) {
            return group;
        }
        let is_system = SYSTEM.contains(&parts[0]) && !APPLICATIONS.iter().any(|folder| is_below(folder));
        // Below /usr the second name says little: /usr/lib, /usr/share.
        let depth = if parts[0] == "usr" { 3 } else { 2 };
        // A file does not name a tree; those that lie side by side are one.
        let length = depth.min(parts.len().saturating_sub(1).max(1));
        Self::new(if is_system { GroupKind::Tree } else { GroupKind::Application }, parts[..length].join("/"))
    }

    /// The group of a path in a folder of a language's packages: of the outermost such folder.
    fn of_language(parts: &[&str]) -> Option<Self> {
        for (at, &part) in parts.iter().enumerate() {
            let rest = &parts[at + 1..];
            let first = *rest.first()?;
            match part {
                "site-packages" | "dist-packages" => {
                    return Some(Self::new(GroupKind::Python, distribution(first)));
                }
                "node_modules" => {
                    if first == ".package-lock.json" {
                        return Some(Self::state());
                    }
                    let scoped = rest.get(1).filter(|_| first.starts_with('@'));
                    let name = scoped.map_or_else(|| first.to_owned(), |name| format!("{first}/{name}"));
                    return Some(Self::new(GroupKind::Node, name));
                }
                // vendor/bundle/ruby/3.1.0/gems/rack-2.2.7, and beside it specifications/rack-2.2.7.gemspec.
                "gems" | "specifications" | "extensions" if is_of_gems(parts, at) => {
                    let last = if part == "extensions" { *rest.last()? } else { first };
                    let named = if part == "extensions" { rest.get(2).copied().unwrap_or(last) } else { first };
                    return Some(Self::new(GroupKind::Gem, without_version(named.trim_end_matches(".gemspec"))));
                }
                // vendor/NAMESPACE/NAME of composer, vendor/HOST/OWNER/NAME of Go.
                "vendor" if first != "bundle" && rest.len() > 1 => {
                    let length = if first.contains('.') { 3 } else { 2 };
                    return Some(Self::new(GroupKind::Module, rest[..length.min(rest.len() - 1)].join("/")));
                }
                "mod" if parts[..at].ends_with(&["go", "pkg"]) && rest.len() > 1 => {
                    let end = rest.iter().position(|name| name.contains('@')).map_or(rest.len() - 1, |at| at + 1);
                    let name = rest[..end].join("/");
                    return Some(Self::new(GroupKind::Module, name.split('@').next().unwrap_or_default()));
                }
                "src" if parts[..at].ends_with(&["registry"]) && rest.len() > 1 => {
                    return Some(Self::new(GroupKind::Module, without_version(rest[1])));
                }
                _ => {}
            }
        }
        None
    }
}

/// Whether the folder at a place is one of RubyGems': `…/ruby/3.1.0/gems`, `…/gems/3.1.0/gems`.
fn is_of_gems(parts: &[&str], at: usize) -> bool {
    let starts_with_digit = |part: &&str| part.starts_with(|first: char| first.is_ascii_digit());
    at > 0
        && parts.get(at - 1).is_some_and(starts_with_digit)
        && parts[..at].iter().any(|one| ["ruby", "gems"].contains(one))
}

/// The module that a file of `__pycache__` was compiled from.
fn compiled_from(path: &str) -> Option<String> {
    let (folder, file) = path.rsplit_once('/')?;
    let above = folder.strip_suffix("__pycache__").filter(|above| above.is_empty() || above.ends_with('/'))?;
    let stem = file.split('.').next().unwrap_or(file);
    file.ends_with(".pyc").then(|| format!("{above}{stem}.py"))
}

/// The Python distribution that something in `site-packages` is of, as far as its name says: case, `-`, `_` and `.`
/// make no difference between names.
fn distribution(name: &str) -> String {
    let stem = [".dist-info", ".egg-info", ".egg", ".libs", ".data"].iter().find_map(|end| name.strip_suffix(end));
    let name = match stem {
        Some(stem) if name.ends_with(".libs") => stem,
        // NAME-VERSION; a name has its hyphens folded there.
        Some(stem) => stem.split('-').next().unwrap_or(stem),
        // Modules and libraries: six.py, _cffi_backend.cpython-311-x86_64-linux-gnu.so.
        None => name.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or(name),
    };
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

/// `rack-2.2.7` as `rack`.
fn without_version(name: &str) -> &str {
    let is_version = |(at, _): &(usize, &str)| name[at + 1..].starts_with(|first: char| first.is_ascii_digit());
    name.match_indices('-').find(is_version).map_or(name, |(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(path: &str) -> String {
        let owner = |path: &[u8]| match path {
            b"usr/bin/tool" | b"usr/lib/python3/dist-packages/owned/a.py" => Some("tool"),
            _ => None,
        };
        let Group { kind, name } = Group::of(path.as_bytes(), owner);
        format!("{kind:?} {name}")
    }

    #[test]
    fn packages_come_first() {
        assert_eq!(group("usr/bin/tool"), "Package tool");
        assert_eq!(group("usr/lib/python3/dist-packages/owned/__pycache__/a.cpython-311.pyc"), "Package tool");
        assert_eq!(group("usr/bin/other"), "Tree usr/bin");
    }

    #[test]
    fn a_python_distribution_is_one_whatever_its_version_and_spelling() {
        let site = "usr/local/lib/python3.11/site-packages";
        for name in [
            "PyYAML_x/__init__.py",
            "pyyaml-x.libs/lib.so",
            "PyYAML_x-6.0.dist-info/RECORD",
            "PyYAML_x-6.0-py3.11.egg-info/PKG-INFO",
            "pyyaml_x.cpython-311-x86_64-linux-gnu.so",
            "pyyaml_x.py",
            "__pycache__/pyyaml_x.cpython-311.pyc",
            "pyyaml_x/a/__pycache__/b.cpython-311.opt-1.pyc",
        ] {
            assert_eq!(group(&format!("{site}/{name}")), "Python pyyaml-x", "{name}");
        }
    }

    #[test]
    fn node_gems_and_modules_are_told_by_their_folders() {
        assert_eq!(group("app/node_modules/a/node_modules/b/index.js"), "Node a");
        assert_eq!(group("app/node_modules/@scope/a/index.js"), "Node @scope/a");
        assert_eq!(group("app/node_modules/.package-lock.json"), "State ");
        assert_eq!(group("usr/local/bundle/ruby/3.1.0/gems/rack-test-2.2.7/lib/rack.rb"), "Gem rack-test");
        assert_eq!(group("usr/local/bundle/ruby/3.1.0/specifications/rack-test-2.2.7.gemspec"), "Gem rack-test");
        let built = "usr/local/bundle/ruby/3.1.0/extensions/x86_64-linux/3.1.0/nio4r-2.5.9/gem.build_complete";
        assert_eq!(group(built), "Gem nio4r");
        assert_eq!(group("app/vendor/symfony/console/A.php"), "Module symfony/console");
        assert_eq!(group("src/vendor/github.com/a/b/c.go"), "Module github.com/a/b");
        assert_eq!(group("root/go/pkg/mod/github.com/a/b@v1.2.0/c.go"), "Module github.com/a/b");
        assert_eq!(group("root/.cargo/registry/src/index-1/serde-1.0.2/lib.rs"), "Module serde");
    }

    #[test]
    fn what_every_release_changes_is_one() {
        for path in [
            "var/lib/dpkg/status",
            "var/lib/dpkg/info/a.list",
            "lib/apk/db/installed",
            "etc/ld.so.cache",
            "etc/passwd-",
            "var/cache/debconf/config.dat",
            "var/log/dpkg.log",
        ] {
            assert_eq!(group(path), "State ", "{path}");
        }
        assert_eq!(group("etc/passwd"), "Tree etc");
        assert_eq!(group("var/lib/dpkg-other"), "Tree var/lib");
    }

    #[test]
    fn the_application_is_what_is_not_the_systems() {
        assert_eq!(group("app/main.py"), "Application app");
        assert_eq!(group("app/static/deep/x.js"), "Application app/static");
        assert_eq!(group("usr/src/app/x.js"), "Application usr/src/app");
        assert_eq!(group("opt/conda/bin/x"), "Tree opt/conda");
        assert_eq!(group("entry.sh"), "Application entry.sh");
        assert_eq!(group(""), "Application ");
    }
}
