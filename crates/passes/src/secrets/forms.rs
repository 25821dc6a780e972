//! Files that are secrets by their place and form: what is known by the file's name, and told from an empty or a
//! harmless file of that name by a look at its content.

use std::ops::Range;
use std::sync::LazyLock;

use bstr::ByteSlice as _;
use jettison_ir::{Confidence, Secret};

use super::place::Place;
use super::values::{self, Name};
use super::{keys, line_of, redact};

use Confidence::{High, Low, Medium};
use Content::{Any, Assigned, AssignedEnding, Database, Der, Element, Following, Hash, Password, Putty, Store, Urls};
use Whole::{Always, IfAlone, Never};

/// What in the content makes the file a secret.
enum Content {
    /// Anything at all.
    Any,
    /// A value of one of these names.
    Assigned(&'static [&'static str]),
    /// A value of a name that ends in one of these.
    AssignedEnding(&'static [&'static str]),
    /// The word after this one.
    Following(&'static str),
    /// An XML element with one of these names.
    Element(&'static [&'static str]),
    /// A URL with a password.
    Urls,
    /// The field of this number, counted from 0, which is a password.
    Password(usize),
    /// The second field, which is a password's hash.
    Hash,
    /// An `SQLite` database.
    Database,
    /// A private key in DER.
    Der,
    /// A key store.
    Store,
    /// A key of `PuTTY`.
    Putty,
}

/// Whether the file may go as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// The file is there for the secret alone.
    Always,
    /// If no line says something else.
    IfAlone,
    /// It holds other things as well.
    Never,
}

struct Form {
    rule: &'static str,
    description: &'static str,
    /// The last components of the paths; a `*` stands for any part of a name.
    paths: &'static [&'static str],
    content: Content,
    confidence: Confidence,
    whole: Whole,
}

const fn form(
    rule: &'static str,
    description: &'static str,
    paths: &'static [&'static str],
    content: Content,
    confidence: Confidence,
    whole: Whole,
) -> Form {
    Form { rule, description, paths, content, confidence, whole }
}

/// Names of values that are secrets in files of variables.
const VARIABLES: Content = AssignedEnding(&[
    "access_key",
    "api_key",
    "apikey",
    "auth_token",
    "client_secret",
    "password",
    "passwd",
    "private_key",
    "secret",
    "secret_key",
    "secret_key_base",
    "_pass",
    "_pwd",
    "token",
]);

/// The forms, by the rule's name. The documents of each program say where it keeps what.
#[rustfmt::skip]
const FORMS: &[Form] = &[
    form("ansible-vault-password", "password of an Ansible vault", &[".vault_pass", ".vault_pass.txt", ".vault-pass"], Any, Medium, Always),
    form("aws-credentials", "AWS credentials", &[".aws/credentials", ".aws/config", ".boto", ".s3cfg", ".passwd-s3fs"],
        Assigned(&["aws_secret_access_key", "aws_session_token", "secret_key", "gs_secret_access_key"]), High, IfAlone),
    form("azure-credentials", "tokens of the Azure command line", &[".azure/accessTokens.json", ".azure/msal_token_cache.json", ".azure/msal_token_cache.bin", ".azure/service_principal_entries.json"], Any, High, Always),
    form("bundler-credentials", "password of a gem server", &[".bundle/config", "local/bundle/config"], AssignedEnding(&["__com", "__dev", "__io", "__net", "__org"]), High, IfAlone),
    form("cargo-credentials", "token of a crate registry", &[".cargo/credentials", ".cargo/credentials.toml"], Assigned(&["token"]), High, Always),
    form("composer-credentials", "credentials of Composer", &[".composer/auth.json", "composer/auth.json", "auth.json"],
        Assigned(&["github.com", "gitlab.com", "password", "gitlab-token", "bearer"]), High, Always),
    form("database-client-password", "password of a database client", &[".my.cnf", ".mylogin.cnf"], Assigned(&["password"]), High, IfAlone),
    form("database-client-password", "password of a database client", &[".pgpass", "pgpass.conf"], Password(4), High, Always),
    form("docker-credentials", "credentials of container registries", &[".docker/config.json", ".dockercfg", ".dockerconfigjson", "containers/auth.json", "containers/0/auth.json"],
        Assigned(&["auth", "identitytoken", "registrytoken", "password"]), High, Always),
    form("env-file", "value of a secret variable", &[".env", ".env.*", "*.env"], VARIABLES, High, Always),
    form("gem-credentials", "key of a gem server", &[".gem/credentials", ".local/share/gem/credentials"], Assigned(&[":rubygems_api_key", "rubygems_api_key", "github"]), High, Always),
    form("gcloud-credentials", "credentials of the Google Cloud command line", &["gcloud/application_default_credentials.json", "gcloud/legacy_credentials/*/adc.json"],
        Assigned(&["refresh_token", "private_key", "client_secret"]), High, Always),
    form("gcloud-credentials", "credentials of the Google Cloud command line", &["gcloud/credentials.db", "gcloud/access_tokens.db"], Database, High, Always),
    form("git-credentials", "password of a Git server", &[".git-credentials", "git/credentials"], Urls, High, Always),
    form("git-credentials", "password of a Git server in a repository's settings", &[".git/config", ".gitconfig", ".gitmodules"], Urls, High, Never),
    form("github-credentials", "token of the GitHub command line", &["gh/hosts.yml", ".config/hub"], Assigned(&["oauth_token"]), High, Always),
    form("gnupg-key", "private key of GnuPG", &[".gnupg/private-keys-v1.d/*", ".gnupg/secring.gpg"], Any, High, Always),
    form("gradle-credentials", "password in Gradle's settings", &[".gradle/gradle.properties", "gradle.properties"], AssignedEnding(&["password", "token", "secret"]), High, IfAlone),
    form("key-store", "key store", &["*.p12", "*.pfx", "*.jks", "*.keystore", "*.bcfks"], Store, Medium, Always),
    form("kube-config", "credentials of a Kubernetes cluster", &[".kube/config", "kubeconfig", "*.kubeconfig", "etc/kubernetes/*.conf", "rancher/k3s/k3s.yaml"],
        Assigned(&["client-key-data", "token", "password"]), High, Always),
    form("maven-credentials", "password in Maven's settings", &[".m2/settings.xml", ".m2/settings-security.xml", "maven/conf/settings.xml"],
        Element(&["password", "passphrase", "master"]), High, Never),
    form("netrc", "password for a server", &[".netrc", "_netrc", "etc/apt/auth.conf", "apt/auth.conf.d/*"], Following("password"), High, Always),
    form("npm-credentials", "token of an npm registry", &[".npmrc", "etc/npmrc", ".yarnrc", ".yarnrc.yml", "pnpm/rc"],
        Assigned(&["_authtoken", "_auth", "_password", "npmauthtoken", "npmauthident"]), High, IfAlone),
    form("nuget-credentials", "password in NuGet's settings", &["NuGet.Config", "nuget.config", "NuGet.config"], NUGET, High, Never),
    form("password-file", "hash of a user's password", &["etc/shadow", "etc/shadow-", "etc/gshadow", "etc/master.passwd", ".htpasswd"], Hash, High, Never),
    form("pip-credentials", "password in a package index's URL", &["pip.conf", "pip.ini", "pip/pip.conf", "uv.toml", ".condarc"], Urls, High, IfAlone),
    form("private-key", "private key", &["*.der", "*.key", "*.p8", "*.pk8"], Der, High, Always),
    form("putty-key", "private key of PuTTY", &["*.ppk"], Putty, High, Always),
    form("pypi-credentials", "password of a Python package index", &[".pypirc"], Assigned(&["password"]), High, Always),
    form("rclone-credentials", "credentials of rclone", &["rclone.conf", ".rclone.conf"], Assigned(&["token", "pass", "secret_access_key", "client_secret"]), High, Always),
    form("shell-history", "history of commands", &[".ash_history", ".bash_history", ".history", ".sh_history", ".zsh_history", ".zhistory", "fish/fish_history"], Any, Low, Always),
    form("shell-history", "history of a program's commands", &[".python_history", ".node_repl_history", ".irb_history", ".mysql_history", ".psql_history", ".sqlite_history", ".rediscli_history", ".dbshell", ".mongorc.js.history", ".lesshst"], Any, Low, Always),
    form("terraform-credentials", "token of Terraform", &[".terraformrc", "terraform.rc", ".terraform.d/credentials.tfrc.json"], Assigned(&["token"]), High, IfAlone),
    form("terraform-state", "state of Terraform, which holds secrets as they are", &["*.tfstate", "*.tfstate.backup"], Any, Medium, Always),
    form("vault-token", "token of Vault", &[".vault-token"], Any, High, Always),
];

/// `NuGet` has the name in one attribute and the value in the next.
const NUGET: Content = Assigned(&["cleartextpassword\" value", "\"password\" value"]);

/// Endings of `.env` files that are there to be copied and filled in.
const TEMPLATES: [&[u8]; 7] = [b".default", b".defaults", b".dist", b".example", b".sample", b".template", b".tmpl"];

/// One of the paths of a form.
struct Named {
    form: &'static Form,
    path: &'static [u8],
    /// What every such path ends in.
    end: &'static [u8],
}

/// The forms' paths by the last byte of what they stand for: every file's path is asked, several times, and nearly
/// every one ends otherwise.
static BY_LAST_BYTE: LazyLock<Vec<Vec<Named>>> = LazyLock::new(|| {
    let named = |form, path: &'static str| {
        let end = path.rsplit('*').next().unwrap_or_default();
        Named { form, path: path.as_bytes(), end: end.as_bytes() }
    };
    let all = FORMS.iter().flat_map(|form| form.paths.iter().map(move |path| named(form, path)));
    let ending = |last| all.clone().filter(move |named| named.end.last().is_none_or(|&end| end == last));
    (0..=u8::MAX).map(|last| ending(last).collect()).collect()
});

/// The forms of files of this name.
fn forms(path: &[u8]) -> impl Iterator<Item = &'static Form> {
    let candidates = path.last().map_or(&[][..], |&last| &BY_LAST_BYTE[usize::from(last)]);
    candidates.iter().filter(|named| path.ends_with(named.end) && named.is(path)).map(|named| named.form)
}

/// Whether a file of this name may be a secret by its form.
pub(super) fn knows(path: &[u8]) -> bool {
    forms(path).next().is_some()
}

/// Whether it is a file of variables, as `docker run --env-file` takes.
pub(super) fn is_environment(path: &[u8]) -> bool {
    forms(path).any(|form| form.rule == "env-file")
}

/// What a file is by its name, if its content bears that out. Keys in what packages brought are for their tests.
pub(super) fn secrets(path: &[u8], place: Place, content: &[u8]) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    let is_key = |form: &&Form| matches!(form.content, Der | Store | Putty);
    for form in forms(path).filter(|form| !(place == Place::Software && is_key(form))) {
        for secret in form.secrets(content) {
            if !secrets.iter().any(|other| other.line == secret.line && secret.line.is_some()) {
                secrets.push(secret);
            }
        }
    }
    secrets
}

impl Named {
    fn is(&self, path: &[u8]) -> bool {
        let is_template = || self.form.rule == "env-file" && TEMPLATES.iter().any(|ending| path.ends_with(ending));
        ends_in(path, self.path) && !is_template()
    }
}

impl Form {
    fn secrets(&self, content: &[u8]) -> Vec<Secret> {
        if content.trim().is_empty() {
            return Vec::new();
        }
        let values = match &self.content {
            Any => return vec![self.file(content)],
            Database => return self.file_if(content.starts_with(b"SQLite format 3\0"), content),
            Der => return self.file_if(keys::is_der(content), content),
            Store => return self.file_if(keys::is_store(content), content),
            Putty => return self.file_if(content.starts_with(b"PuTTY-User-Key-File-"), content),
            Assigned(names) => values::assigned(content, names, Name::Whole),
            AssignedEnding(names) => values::assigned(content, names, Name::Ending),
            Following(name) => values::following(content, name),
            Element(names) => values::elements(content, names),
            Urls => values::in_urls(content),
            Password(index) => values::fields(content, *index, |field| !values::stands_for_another(field)),
            Hash => values::fields(content, 1, is_hash),
        };
        let is_whole_file = match self.whole {
            Always => true,
            IfAlone => values::are_all(content, &values),
            Never => false,
        };
        let secret = |value: &Range<usize>| Secret {
            line: Some(line_of(content, value.start)),
            redacted: redact::shown(&content[value.clone()]),
            is_whole_file,
            ..self.file(content)
        };
        let mut secrets: Vec<Secret> = values.iter().map(secret).collect();
        secrets.dedup_by_key(|secret| secret.line);
        secrets
    }

    /// The file as one secret.
    fn file(&self, content: &[u8]) -> Secret {
        Secret {
            rule: self.rule.to_owned(),
            description: self.description.to_owned(),
            line: None,
            redacted: redact::file(content.len()),
            confidence: self.confidence,
            is_whole_file: self.whole != Never,
        }
    }

    fn file_if(&self, is_one: bool, content: &[u8]) -> Vec<Secret> {
        if is_one { vec![self.file(content)] } else { Vec::new() }
    }
}

/// What `crypt` made, or the forms of web servers. `*`, `!` and `x` say that there is no password.
fn is_hash(field: &[u8]) -> bool {
    let field = field.strip_prefix(b"!").unwrap_or(field);
    field.len() > 8 && (field.starts_with(b"$") || field.starts_with(b"_") || field.starts_with(b"{SHA}"))
}

/// Whether the last components of `path` are those of `pattern`.
fn ends_in(path: &[u8], pattern: &[u8]) -> bool {
    let (mut path, mut pattern) = (path.rsplit(|&byte| byte == b'/'), pattern.rsplit(|&byte| byte == b'/'));
    pattern.all(|pattern| path.next().is_some_and(|name| is_named(name, pattern)))
}

fn is_named(name: &[u8], pattern: &[u8]) -> bool {
    match pattern.iter().position(|&byte| byte == b'*') {
        None => name == pattern,
        Some(star) => {
            let (start, end) = (&pattern[..star], &pattern[star + 1..]);
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}
