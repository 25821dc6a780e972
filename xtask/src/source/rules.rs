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
