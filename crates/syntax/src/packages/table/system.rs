//! The managers of distributions: their packages are the system's.

use super::super::specifier::Style;
use super::super::{Manager, Verb};
use super::{Description, Row, flags, installer, on, words};

const APT_ROWS: &[Row] = &[
    words(&["update"], Verb::Update),
    on(&["install"], Verb::Install),
    on(&["reinstall"], Verb::Install),
    on(&["satisfy"], Verb::Install),
    on(&["build-dep"], Verb::Install),
    on(&["remove"], Verb::Remove),
    on(&["purge"], Verb::Purge),
    on(&["upgrade"], Verb::Upgrade),
    on(&["dist-upgrade"], Verb::Upgrade),
    on(&["full-upgrade"], Verb::Upgrade),
    on(&["safe-upgrade"], Verb::Upgrade),
    words(&["clean"], Verb::Clean),
    words(&["autoclean"], Verb::Clean),
    words(&["auto-clean"], Verb::Clean),
    words(&["distclean"], Verb::Clean),
    words(&["dist-clean"], Verb::Clean),
    on(&["autoremove"], Verb::AutoRemove),
    on(&["auto-remove"], Verb::AutoRemove),
    on(&["autopurge"], Verb::AutoRemove),
    on(&["download"], Verb::Download),
    on(&["source"], Verb::Download),
    on(&["changelog"], Verb::Query),
    on(&["show"], Verb::Query),
    on(&["list"], Verb::Query),
    on(&["search"], Verb::Query),
    on(&["policy"], Verb::Query),
    words(&["check"], Verb::Query),
];

const APT_VALUES: &[&str] = &[
    "-o",
    "-t",
    "-c",
    "-a",
    "-P",
    "--option",
    "--target-release",
    "--default-release",
    "--config-file",
    "--host-architecture",
    "--build-profiles",
];

const APT_PATHS: &[&str] = &["-c", "--config-file"];

const DNF_ROWS: &[Row] = &[
    words(&["makecache"], Verb::Update),
    words(&["check-update"], Verb::Update),
    words(&["check-upgrade"], Verb::Update),
    on(&["install"], Verb::Install),
    on(&["localinstall"], Verb::Install),
    on(&["reinstall"], Verb::Install),
    on(&["downgrade"], Verb::Install),
    on(&["groupinstall"], Verb::Install),
    on(&["group", "install"], Verb::Install),
    on(&["groups", "install"], Verb::Install),
    on(&["builddep"], Verb::Install),
    on(&["module", "install"], Verb::Install),
    on(&["swap"], Verb::Install),
    on(&["remove"], Verb::Remove),
    on(&["erase"], Verb::Remove),
    on(&["groupremove"], Verb::Remove),
    on(&["group", "remove"], Verb::Remove),
    on(&["upgrade"], Verb::Upgrade),
    on(&["update"], Verb::Upgrade),
    on(&["distro-sync"], Verb::Upgrade),
    on(&["upgrade-minimal"], Verb::Upgrade),
    words(&["clean"], Verb::Clean),
    on(&["autoremove"], Verb::AutoRemove),
    on(&["download"], Verb::Download),
    on(&["list"], Verb::Query),
    on(&["info"], Verb::Query),
    on(&["search"], Verb::Query),
    on(&["provides"], Verb::Query),
    on(&["repoquery"], Verb::Query),
    words(&["repolist"], Verb::Query),
];

const DNF_VALUES: &[&str] = &[
    "-c",
    "-x",
    "-e",
    "-d",
    "-R",
    "--setopt",
    "--enablerepo",
    "--disablerepo",
    "--repo",
    "--repoid",
    "--releasever",
    "--installroot",
    "--exclude",
    "--config",
    "--comment",
    "--forcearch",
    "--advisory",
    "--downloaddir",
    "--destdir",
    "--enableplugin",
    "--disableplugin",
    "--repofrompath",
    "--enable-repo",
    "--disable-repo",
    "--nogpgcheck-repo",
];

const DNF_PATHS: &[&str] = &["-c", "--config", "--installroot", "--downloaddir", "--destdir"];

const XBPS_VALUES: &[&str] = &["-r", "-R", "-C", "-c", "--rootdir", "--repository", "--config", "--cachedir"];

const XBPS_PATHS: &[&str] = &["-r", "-C", "-c", "--rootdir", "--config", "--cachedir"];

pub(super) const MANAGERS: &[Description] = &[
    Description {
        values: APT_VALUES,
        paths: APT_PATHS,
        ..installer(Manager::AptGet, &["apt-get"], Style::Debian, APT_ROWS)
    },
    Description { values: APT_VALUES, paths: APT_PATHS, ..installer(Manager::Apt, &["apt"], Style::Debian, APT_ROWS) },
    Description {
        values: APT_VALUES,
        paths: APT_PATHS,
        ..installer(Manager::Aptitude, &["aptitude"], Style::Debian, APT_ROWS)
    },
    Description {
        implied: Some(on(&[], Verb::Other)),
        flags: &[
            flags(
                &[&[
                    "-l",
                    "-L",
                    "-s",
                    "-S",
                    "-p",
                    "--list",
                    "--listfiles",
                    "--status",
                    "--search",
                    "--print-architecture",
                    "--get-selections",
                ]],
                Verb::Query,
                Verb::Query,
            ),
            flags(&[&["-P", "--purge"]], Verb::Purge, Verb::Purge),
            flags(&[&["-r", "--remove"]], Verb::Remove, Verb::Remove),
            flags(&[&["-i", "--install", "--unpack"]], Verb::Install, Verb::Install),
        ],
        values: &["--root", "--admindir", "--instdir", "--log"],
        paths: &["--root", "--admindir", "--instdir"],
        ..installer(Manager::Dpkg, &["dpkg"], Style::Debian, &[])
    },
    Description {
        values: &[
            "-t",
            "--virtual",
            "-X",
            "-p",
            "--repository",
            "--root",
            "--arch",
            "--cache-dir",
            "--cache-max-age",
            "--keys-dir",
            "--repositories-file",
            "--timeout",
            "--wait",
            "--progress-fd",
        ],
        paths: &["-X", "-p", "--repository", "--root", "--cache-dir", "--keys-dir", "--repositories-file"],
        ..installer(
            Manager::Apk,
            &["apk"],
            Style::Alpine,
            &[
                words(&["update"], Verb::Update),
                on(&["add"], Verb::Install),
                on(&["fix"], Verb::Install),
                on(&["del"], Verb::Remove),
                on(&["upgrade"], Verb::Upgrade),
                words(&["cache"], Verb::Clean),
                words(&["cache", "download"], Verb::Download),
                on(&["fetch"], Verb::Download).values(&["-o", "--output"]),
                on(&["info"], Verb::Query),
                on(&["list"], Verb::Query),
                on(&["search"], Verb::Query),
                on(&["policy"], Verb::Query),
                words(&["version"], Verb::Query),
            ],
        )
    },
    Description {
        values: DNF_VALUES,
        paths: DNF_PATHS,
        ..installer(Manager::Dnf, &["dnf", "dnf4", "dnf5", "tdnf"], Style::Rpm, DNF_ROWS)
    },
    Description { values: DNF_VALUES, paths: DNF_PATHS, ..installer(Manager::Yum, &["yum"], Style::Rpm, DNF_ROWS) },
    Description {
        values: DNF_VALUES,
        paths: DNF_PATHS,
        ..installer(Manager::Microdnf, &["microdnf"], Style::Rpm, DNF_ROWS)
    },
    Description {
        implied: Some(on(&[], Verb::Other)),
        flags: &[
            flags(&[&["-q", "--query", "-V", "--verify", "-E", "--eval"]], Verb::Query, Verb::Query),
            flags(&[&["-e", "--erase"]], Verb::Remove, Verb::Remove),
            flags(&[&["-i", "--install", "-U", "--upgrade", "-F", "--freshen"]], Verb::Install, Verb::Install),
        ],
        values: &[
            "--import",
            "-D",
            "-E",
            "--define",
            "--root",
            "--dbpath",
            "--prefix",
            "--queryformat",
            "--qf",
            "--eval",
            "--relocate",
        ],
        paths: &["--import", "--root", "--dbpath"],
        ..installer(Manager::Rpm, &["rpm"], Style::Rpm, &[])
    },
    Description {
        values: &[
            "-R",
            "-D",
            "-p",
            "-r",
            "-t",
            "--root",
            "--reposd-dir",
            "--cache-dir",
            "--plus-repo",
            "--repo",
            "--from",
            "--type",
            "--gpg-auto-import-keys=yes",
            "--installroot",
        ],
        paths: &["-R", "-D", "--root", "--reposd-dir", "--cache-dir"],
        ..installer(
            Manager::Zypper,
            &["zypper"],
            Style::Rpm,
            &[
                words(&["refresh"], Verb::Update),
                words(&["ref"], Verb::Update),
                on(&["install"], Verb::Install),
                on(&["in"], Verb::Install),
                on(&["source-install"], Verb::Install),
                on(&["remove"], Verb::Remove),
                on(&["rm"], Verb::Remove),
                on(&["update"], Verb::Upgrade),
                on(&["up"], Verb::Upgrade),
                words(&["patch"], Verb::Upgrade),
                on(&["dist-upgrade"], Verb::Upgrade),
                on(&["dup"], Verb::Upgrade),
                words(&["clean"], Verb::Clean),
                words(&["cc"], Verb::Clean),
                on(&["download"], Verb::Download),
                on(&["search"], Verb::Query),
                on(&["se"], Verb::Query),
                on(&["info"], Verb::Query),
                words(&["repos"], Verb::Query),
                words(&["lr"], Verb::Query),
            ],
        )
    },
    Description {
        implied: Some(on(&[], Verb::Other)),
        flags: &[
            flags(&[&["-S", "--sync"], &["-c", "--clean"]], Verb::Clean, Verb::Clean),
            flags(
                &[&["-S", "--sync"], &["-s", "--search", "-i", "--info", "-l", "--list", "-g", "--groups"]],
                Verb::Query,
                Verb::Query,
            ),
            flags(&[&["-S", "--sync"], &["-w", "--downloadonly"]], Verb::Download, Verb::Download),
            flags(&[&["-S", "--sync"], &["-u", "--sysupgrade"]], Verb::Upgrade, Verb::Install),
            flags(&[&["-S", "--sync"]], Verb::Update, Verb::Install),
            flags(&[&["-R", "--remove"], &["-n", "--nosave"]], Verb::Purge, Verb::Purge),
            flags(&[&["-R", "--remove"]], Verb::Remove, Verb::Remove),
            flags(&[&["-U", "--upgrade"]], Verb::Install, Verb::Install),
            flags(&[&["-Q", "--query", "-F", "--files", "-T"]], Verb::Query, Verb::Query),
        ],
        values: &[
            "-b",
            "-r",
            "--dbpath",
            "--root",
            "--cachedir",
            "--config",
            "--ignore",
            "--overwrite",
            "--arch",
            "--gpgdir",
            "--hookdir",
            "--logfile",
            "--assume-installed",
        ],
        paths: &["-b", "-r", "--dbpath", "--root", "--cachedir", "--config", "--gpgdir", "--hookdir"],
        ..installer(Manager::Pacman, &["pacman"], Style::Rpm, &[])
    },
    Description {
        implied: Some(on(&[], Verb::Install)),
        flags: &[
            flags(&[&["--sync"]], Verb::Update, Verb::Update),
            flags(&[&["-s", "--search", "-S", "--searchdesc", "--info"]], Verb::Query, Verb::Query),
            flags(&[&["-C", "--unmerge"]], Verb::Remove, Verb::Remove),
            flags(&[&["-c", "--depclean"]], Verb::AutoRemove, Verb::Remove),
            flags(&[&["-f", "--fetchonly"]], Verb::Download, Verb::Download),
        ],
        values: &["-j", "--jobs", "--load-average", "--backtrack", "--exclude", "--root"],
        ..installer(Manager::Emerge, &["emerge"], Style::Plain, &[])
    },
    Description {
        implied: Some(on(&[], Verb::Install)),
        flags: &[
            flags(&[&["-u", "--update"]], Verb::Upgrade, Verb::Install),
            flags(&[&["-S", "--sync"]], Verb::Update, Verb::Install),
        ],
        values: XBPS_VALUES,
        paths: XBPS_PATHS,
        ..installer(Manager::Xbps, &["xbps-install"], Style::Rpm, &[])
    },
    Description {
        implied: Some(on(&[], Verb::Remove)),
        flags: &[
            flags(&[&["-O", "--clean-cache"]], Verb::Clean, Verb::Remove),
            flags(&[&["-o", "--remove-orphans"]], Verb::AutoRemove, Verb::Remove),
        ],
        values: XBPS_VALUES,
        paths: XBPS_PATHS,
        ..installer(Manager::Xbps, &["xbps-remove"], Style::Rpm, &[])
    },
];
