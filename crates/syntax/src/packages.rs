//! Package-manager commands: verbs, options, packages.
