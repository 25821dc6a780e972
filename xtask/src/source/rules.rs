//! Which rules of hadolint are about size and cache, and how disagreements on them are sorted.

/// A rule of hadolint with the pass that knows its waste.
pub(crate) struct Rule {
    pub(crate) code: &'static str,
    pub(crate) what: &'static str,
}

/// The rules that are compared.
pub(crate) const RULES: &[Rule] = &[
    Rule { code: "DL3006", what: "no tag" },
    Rule { code: "DL3007", what: "tag latest" },
    Rule { code: "DL3009", what: "apt lists kept" },
    Rule { code: "DL3015", what: "apt installs recommended packages" },
    Rule { code: "DL3019", what: "apk cache kept" },
    Rule { code: "DL3032", what: "yum cache kept" },
    Rule { code: "DL3036", what: "zypper cache kept" },
    Rule { code: "DL3040", what: "dnf cache kept" },
    Rule { code: "DL3042", what: "pip cache kept" },
    Rule { code: "DL3059", what: "RUN follows RUN" },
    Rule { code: "DL3060", what: "yarn cache kept" },
];

/// An explanation that the text of the instruction shows.
pub(crate) struct Explanation {
    pub(crate) code: &'static str,
    pub(crate) holds: fn(&str) -> bool,
    pub(crate) says: &'static str,
}

/// Why hadolint finds something where jettison does not.
pub(crate) const THEIRS: &[Explanation] = &[
    Explanation {
        code: "DL3009",
        holds: |text| text.contains("dist-clean"),
        says: "`apt-get dist-clean` removes the lists, which hadolint does not know",
    },
    Explanation {
        code: "DL3009",
        holds: |text| text.contains("/var/lib/apt/lists") || text.contains("/var/lib/apt/"),
        says: "the lists are removed in a form that hadolint does not know",
    },
    Explanation {
        code: "DL3019",
        holds: |text| text.contains("/var/cache/apk"),
        says: "the cache is removed in the same RUN, hadolint wants the option",
    },
    Explanation {
        code: "DL3019",
        holds: |text| text.contains("--no-network"),
        says: "`--no-network` reads no index, which hadolint does not know",
    },
    Explanation {
        code: "DL3042",
        holds: |text| text.contains(".cache") || text.contains("cache purge"),
        says: "the cache is removed in the same RUN, hadolint wants the option",
    },
];

/// Why jettison finds something where hadolint does not.
pub(crate) const OURS: &[Explanation] = &[
    Explanation {
        code: "DL3059",
        holds: |text| text.matches("&&").count() + text.matches(';').count() >= 2,
        says: "a RUN of more than two commands, which hadolint takes to be meant so",
    },
    Explanation {
        code: "DL3060",
        holds: |text| !text.contains("yarn"),
        says: "npm or pnpm: the rule is about yarn only",
    },
    Explanation {
        code: "DL3019",
        holds: |text| text.contains("apk update") || text.contains("apk upgrade") || text.contains("-U"),
        says: "`apk update` fetches indexes, `add --no-cache` or not",
    },
];
