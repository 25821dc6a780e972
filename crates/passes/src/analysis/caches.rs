//! The folders in which package managers keep what they fetched, for who runs as root.

use jettison_syntax::packages::{Manager, PackageCommand, Verb};

/// A manager's caches.
pub(crate) struct Caches {
    /// The managers that use them.
    pub(crate) managers: &'static [Manager],
    /// The verbs that fill them.
    pub(crate) verbs: &'static [Verb],
    /// The folders.
    pub(crate) folders: &'static [&'static str],
    /// Whether two builds must not use them at once.
    pub(crate) locked: bool,
    /// The image whose folders these are, where others have them elsewhere.
    pub(crate) of_image: Option<&'static str>,
    /// Variables that move the folders or switch the cache off.
    pub(crate) variables: &'static [&'static str],
    /// Options that do.
    pub(crate) options: &'static [&'static str],
    /// Parts of paths: a text that holds one speaks of the folders itself.
    pub(crate) fragments: &'static [&'static str],
    /// Options with which a command needs what another one left in the folders.
    pub(crate) offline: &'static [&'static str],
    /// Whether what a program runs from stays in the folders.
    pub(crate) is_store: bool,
}

const FILLS: &[Verb] = &[Verb::Install, Verb::Download, Verb::Upgrade];
const BUILDS: &[Verb] = &[Verb::Install, Verb::Download, Verb::Upgrade, Verb::Build, Verb::Run];

const NONE: Caches = Caches {
    managers: &[],
    verbs: FILLS,
    folders: &[],
    locked: false,
    of_image: None,
    variables: &[],
    options: &[],
    fragments: &[],
    offline: &[],
    is_store: false,
};

/// All of them. `/var/lib/apt` as a whole is none: it also holds which packages were installed for others.
pub(crate) const CACHES: &[Caches] = &[
    Caches {
        managers: &[Manager::AptGet, Manager::Apt],
        folders: &["/var/cache/apt", "/var/lib/apt/lists"],
        locked: true,
        options: &["-o", "--option", "-c", "--config-file"],
        fragments: &["/var/cache/apt", "/var/lib/apt", "/var/lib/{apt", "/var/cache/{apt"],
        ..NONE
    },
    Caches {
        managers: &[Manager::Dnf],
        folders: &["/var/cache/dnf"],
        locked: true,
        options: &["-c", "--config", "--setopt", "--installroot", "-C", "--cacheonly"],
        fragments: &["/var/cache/dnf", "/var/cache/libdnf", "/var/cache/{"],
        ..NONE
    },
    Caches {
        managers: &[Manager::Yum],
        folders: &["/var/cache/yum"],
        locked: true,
        options: &["-c", "--config", "--setopt", "--installroot", "-C", "--cacheonly"],
        fragments: &["/var/cache/yum", "/var/cache/{"],
        ..NONE
    },
    Caches {
        managers: &[Manager::Pip],
        folders: &["/root/.cache/pip"],
        variables: &["PIP_NO_CACHE_DIR", "PIP_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "PIP_CONFIG_FILE"],
        options: &["--no-cache-dir", "--cache-dir", "--isolated"],
        fragments: &[".cache"],
        ..NONE
    },
    Caches {
        managers: &[Manager::Npm],
        folders: &["/root/.npm"],
        variables: &["NPM_CONFIG_CACHE", "npm_config_cache", "HOME"],
        options: &["--cache", "--offline", "--userconfig"],
        fragments: &["/.npm/", "/.npm ", "_cacache"],
        offline: &["--offline"],
        ..NONE
    },
    Caches {
        managers: &[Manager::Yarn],
        folders: &["/usr/local/share/.cache/yarn"],
        of_image: Some("node"),
        variables: &["YARN_CACHE_FOLDER", "XDG_CACHE_HOME", "YARN_ENABLE_GLOBAL_CACHE"],
        options: &["--cache-folder", "--offline"],
        fragments: &[".cache", ".yarn"],
        offline: &["--offline"],
        ..NONE
    },
    Caches {
        managers: &[Manager::Go],
        verbs: BUILDS,
        folders: &["/go/pkg/mod", "/root/.cache/go-build"],
        of_image: Some("golang"),
        variables: &["GOPATH", "GOMODCACHE", "GOCACHE", "XDG_CACHE_HOME", "HOME", "GOPROXY", "GOFLAGS"],
        options: &["-mod", "-modcacherw"],
        fragments: &["pkg/mod", "go-build", ".cache", "-mod=", "GOPROXY", "GOMODCACHE"],
        is_store: true,
        ..NONE
    },
    Caches {
        managers: &[Manager::Cargo],
        verbs: BUILDS,
        folders: &["/usr/local/cargo/registry", "/usr/local/cargo/git/db"],
        of_image: Some("rust"),
        variables: &["CARGO_HOME", "CARGO_NET_OFFLINE"],
        options: &["--offline", "--frozen"],
        fragments: &["cargo/registry", "cargo/git", "CARGO_HOME"],
        offline: &["--offline", "--frozen"],
        is_store: true,
        ..NONE
    },
    Caches {
        managers: &[Manager::Maven],
        verbs: BUILDS,
        folders: &["/root/.m2/repository"],
        variables: &["MAVEN_OPTS", "MAVEN_ARGS", "HOME"],
        options: &["-o", "--offline", "-s", "--settings"],
        fragments: &[".m2", "maven.repo.local"],
        offline: &["-o", "--offline"],
        is_store: true,
        ..NONE
    },
    Caches {
        managers: &[Manager::Gradle],
        verbs: BUILDS,
        folders: &["/root/.gradle/caches"],
        locked: true,
        variables: &["GRADLE_USER_HOME", "GRADLE_OPTS", "HOME"],
        options: &["--offline", "-g", "--gradle-user-home", "--project-cache-dir"],
        fragments: &[".gradle"],
        offline: &["--offline"],
        is_store: true,
        ..NONE
    },
];

/// The caches that a command fills.
pub(crate) fn filled_by(package: &PackageCommand) -> Option<(usize, &'static Caches)> {
    let found = CACHES.iter().enumerate().find(|(_, caches)| caches.managers.contains(&package.manager));
    found.filter(|(_, caches)| caches.verbs.contains(&package.verb))
}
