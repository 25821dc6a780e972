//! What is a secret and what is none. All of them are made up when the tests run, so that none stands in this file.

use std::ops::Range;

use super::*;

/// Text that looks random, always the same.
fn random(alphabet: &str, length: usize) -> String {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let letters: Vec<char> = alphabet.chars().collect();
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            letters[usize::try_from(state >> 33).unwrap_or_default() % letters.len()]
        })
        .collect()
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEXADECIMAL: &str = "0123456789abcdef";

fn github() -> String {
    format!("gh{}_{}", 'p', random(LETTERS, 36))
}

fn password() -> String {
    random(LETTERS, 20)
}

/// A private key in PEM with this label.
fn pem(label: &str) -> String {
    let body = random(LETTERS, 640);
    let lines: Vec<&str> = (0..10).map(|at| &body[at * 64..at * 64 + 64]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn key(kind: &str) -> String {
    pem(&format!("{kind}PRIVATE {}", "KEY"))
}

fn scan(path: &str, content: impl AsRef<[u8]>) -> Vec<Secret> {
    static SCANNER: std::sync::LazyLock<Scanner> = std::sync::LazyLock::new(|| Scanner::new().expect("the rules"));
    SCANNER.scan(path.as_bytes(), content.as_ref()).expect("a scan")
}

/// Rule, line and confidence of each find.
fn found(path: &str, content: impl AsRef<[u8]>) -> Vec<String> {
    let show = |secret: &Secret| {
        let line = secret.line.map_or(String::new(), |line| format!(":{line}"));
        format!("{}{line} {}", secret.rule, secret.confidence.name())
    };
    scan(path, content).iter().map(show).collect()
}

#[test]
fn tokens_of_providers_are_found_in_source_by_line() {
    let source = format!("import os\n\nTOKEN = \"{}\"\n", github());
    assert_eq!(found("app/main.py", &source), ["github-token:3 high"]);
    let aws = format!("key: {}{}\n", "AKIA", random(UPPER, 16));
    assert_eq!(found("srv/notes.txt", &aws), ["aws-access-key:1 high"]);
    let others = [
        (format!("glp{}-{}", "at", random(LETTERS, 20)), "gitlab-token"),
        (format!("np{}_{}", 'm', random(LETTERS, 36)), "npm-token"),
        (format!("sk_{}_{}", "live", random(LETTERS, 24)), "stripe-token"),
        (format!("AI{}{}", "za", random(LETTERS, 35)), "google-api-key"),
        (format!("dop_{}_{}", "v1", random(HEXADECIMAL, 64)), "digitalocean-token"),
    ];
    for (token, rule) in others {
        assert_eq!(found("app/index.js", format!("x(\"{token}\")")), [format!("{rule}:1 high")], "{rule}");
    }
}

#[test]
fn an_access_key_without_a_digit_is_looked_at_as_well() {
    let key = format!("key = {}{}", "AKIA", random("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 16));
    assert_eq!(found("app/x.py", key), ["aws-access-key:1 high"]);
}

#[test]
fn a_token_in_a_very_long_line_and_between_bytes_that_are_no_text_is_found() {
    let long = format!("{}\"{}\"{}", "a();".repeat(20_000), github(), "b();".repeat(20_000));
    assert_eq!(found("app/bundle.js", long), ["github-token:1 high"]);
    let mut bytes = b"caf\xe9 \xff\n".to_vec();
    bytes.push(0xe9);
    bytes.extend(format!("t={} ", github()).bytes());
    bytes.push(0xff);
    assert_eq!(found("app/latin1.txt", &bytes), ["github-token:2 high"]);
    assert_eq!(scan("app/latin1.txt", &bytes)[0].redacted, "ghp_… (40 characters)", "the very bytes");
}

#[test]
fn the_secret_itself_is_never_shown() {
    let token = github();
    let secret = &scan("app/main.py", format!("t = '{token}'"))[0];
    assert_eq!(secret.redacted, "ghp_… (40 characters)");
    let environment = scan("app/.env", format!("DB_PASSWORD={}\n", &password()[..7]));
    assert_eq!(environment[0].redacted, format!("{}… (7 characters)", &password()[..1]));
    let file = &scan("root/.ssh/id_rsa", key("RSA "))[0];
    assert!(file.redacted.starts_with('(') && file.redacted.ends_with(" bytes)"), "{}", file.redacted);
    for text in [format!("{secret:?}"), format!("{environment:?}"), format!("{file:?}")] {
        assert!(!text.contains(&token[5..]) && !text.contains(&password()[..7]) && !text.contains(&random(LETTERS, 9)));
    }
}

#[test]
fn private_keys_are_found_and_public_certificates_are_not() {
    for kind in ["", "RSA ", "EC ", "OPENSSH "] {
        let secrets = scan("root/.ssh/id_any", key(kind));
        assert_eq!(secrets.len(), 1, "{kind}: {secrets:?}");
        assert_eq!((secrets[0].rule.as_str(), secrets[0].is_whole_file), ("private-key", true), "{kind}");
    }
    assert_eq!(found("etc/ssl/certs/ca-certificates.crt", pem("CERTIFICATE")), [""; 0]);
    assert_eq!(found("app/key.pub", pem("PUBLIC KEY")), [""; 0]);
    let both = scan("app/server.pem", pem("CERTIFICATE") + &key(""));
    assert_eq!((both.len(), both[0].is_whole_file), (1, false), "the certificate is needed by others");
    assert_eq!(found("app/doc.txt", format!("a file starts with -----BEGIN PRIVATE {}-----", "KEY")), [""; 0]);
}

#[test]
fn keys_of_servers_and_of_accounts_are_named() {
    let host = scan("etc/ssh/ssh_host_ed25519_key", key("OPENSSH "));
    assert!(host[0].description.contains("the same in every container"), "{}", host[0].description);
    let one_line = key("").replace('\n', "\\n");
    let account = format!("{{\"type\": \"service_account\", \"private_key\": \"{one_line}\"}}");
    let account = scan("app/account.json", account);
    assert!(account.iter().any(|secret| secret.description.contains("Google service account")), "{account:?}");
}

#[test]
fn binary_keys_and_key_stores_are_told_by_their_first_bytes() {
    let pkcs8 = [&[0x30, 0x82, 4, 0xbd, 2, 1, 0, 0x30, 13][..], &[0; 64]].concat();
    assert_eq!(found("app/tls.key", &pkcs8), ["private-key high"]);
    let certificate = [&[0x30, 0x82, 4, 0xbd, 0x30, 0x82, 3, 0xa5][..], &[0; 64]].concat();
    assert_eq!(found("app/tls.der", &certificate), [""; 0]);
    let store = [&[0xfe, 0xed, 0xfe, 0xed, 0, 0][..], &[0; 64]].concat();
    assert_eq!(found("app/release.jks", &store), ["key-store medium"]);
    assert_eq!(found("usr/lib/jvm/java/test.jks", &store), [""; 0]);
    assert_eq!(found("app/me.ppk", "PuTTY-User-Key-File-3: ssh-rsa\n"), ["putty-key high"]);
}

#[test]
fn files_are_secrets_by_their_names_and_contents() {
    let p = password();
    let cases = [
        ("root/.npmrc", format!("//registry.npmjs.org/:_authToken={p}\n"), "npm-credentials:1 high"),
        ("root/.netrc", format!("machine a.org\n login me\n password {p}\n"), "netrc:3 high"),
        ("root/.git-credentials", format!("https://me:{p}@a.org\n"), "git-credentials:1 high"),
        (
            "root/.docker/config.json",
            format!("{{\"auths\": {{\"a.org\": {{\"auth\": \"{p}==\"}}}}}}"),
            "docker-credentials:1 high",
        ),
        ("root/.pypirc", format!("[pypi]\nusername = u\npassword = {p}\n"), "pypi-credentials:3 high"),
        ("etc/pip.conf", format!("[global]\nindex-url = https://u:{p}@a.org/simple\n"), "pip-credentials:2 high"),
        ("root/.aws/credentials", format!("[default]\naws_secret_access_key = {p}{p}\n"), "aws-credentials:2 high"),
        ("root/.azure/accessTokens.json", format!("[{{\"accessToken\": \"{p}\"}}]"), "azure-credentials high"),
        ("root/.kube/config", format!("users:\n- user:\n    client-key-data: {p}\n"), "kube-config:3 high"),
        ("app/.env", format!("DEBUG=1\nDATABASE_PASSWORD='{p}'\n"), "env-file:2 high"),
        ("app/terraform.tfstate", "{\"version\": 4}".to_owned(), "terraform-state medium"),
        ("root/.bash_history", "ls\n".to_owned(), "shell-history low"),
        ("root/.m2/settings.xml", format!("<server>\n<password>{p}</password>"), "maven-credentials:2 high"),
        ("root/.pgpass", format!("# host:port\nh:5432:d:u:{p}\n"), "database-client-password:2 high"),
        ("root/.cargo/credentials.toml", format!("[registry]\ntoken = \"{p}\"\n"), "cargo-credentials:2 high"),
        ("etc/shadow", format!("daemon:*:1::\nroot:$6${p}${p}:1::\n"), "password-file:2 high"),
        ("root/.config/gcloud/credentials.db", "SQLite format 3\0".to_owned(), "gcloud-credentials high"),
        ("root/.gnupg/private-keys-v1.d/A.key", "(private)".to_owned(), "gnupg-key high"),
        ("root/.config/gh/hosts.yml", format!("github.com:\n  oauth_token: {p}\n"), "github-credentials:2 high"),
        ("root/.vault-token", p.clone(), "vault-token high"),
        (
            "root/.bundle/config",
            format!("---\nBUNDLE_PATH: \"/x\"\nBUNDLE_GEMS__CONTRIBSYS__COM: \"me:{p}\"\n"),
            "bundler-credentials:3 high",
        ),
    ];
    for (path, content, expected) in cases {
        assert!(Scanner::wants(path.as_bytes(), content.len() as u64), "{path}");
        assert_eq!(found(path, &content), [expected], "{path}");
    }
}

#[test]
fn files_of_these_names_without_a_secret_are_none() {
    for (path, content) in [
        ("root/.npmrc", "registry=https://a.org\n//a.org/:_authToken=${NPM_TOKEN}\n"),
        ("root/.netrc", "machine a.org login me\n# password old\n"),
        ("root/.docker/config.json", "{\"auths\": {\"a.org\": {}}, \"credsStore\": \"pass\"}"),
        ("root/.pypirc", "[pypi]\nusername = __token__\npassword =\n"),
        ("etc/pip.conf", "[global]\nindex-url = https://${USER}:${PASSWORD}@a.org/simple\n"),
        ("app/.env", "DB_PASSWORD=changeme\nAPI_KEY=<your key>\nNAME=web\nTOKEN=\n"),
        ("app/.env.example", "DB_PASSWORD=hunter2hunter2\n"),
        ("root/.kube/config", "apiVersion: v1\nclusters: []\n"),
        ("etc/shadow", "root:*:1::\ndaemon:!:1::\nme:!!:1::\n"),
        ("root/.bash_history", ""),
        ("root/.bundle/config", "---\nBUNDLE_WITHOUT: \"test\"\nBUNDLE_GEMS__A__COM: \"$TOKEN\"\n"),
        ("root/.config/gcloud/credentials.db", "no database"),
    ] {
        assert_eq!(found(path, content), [""; 0], "{path}");
    }
}

#[test]
fn what_may_go_as_a_whole_holds_nothing_else() {
    let token = format!("//a.org/:_authToken={}\n", password());
    assert!(scan("root/.npmrc", &token)[0].is_whole_file);
    assert!(scan("root/.npmrc", format!("# mine\n\n{token}"))[0].is_whole_file);
    assert!(!scan("root/.npmrc", format!("registry=https://a.org\n{token}"))[0].is_whole_file);
    assert!(!scan("app/main.py", format!("t = '{}'", github()))[0].is_whole_file);
    assert!(!scan("etc/shadow", format!("root:$6${}:1::\n", password()))[0].is_whole_file);
}

#[test]
fn documented_examples_are_no_secrets() {
    let example = format!("{}IOSFODNN7{}", "AKIA", "EXAMPLE");
    assert_eq!(found("app/readme.txt", format!("aws_access_key_id = {example}\n")), [""; 0]);
    assert_eq!(found("app/x.py", format!("sha = '{}'", random(HEXADECIMAL, 64))), [""; 0]);
    assert_eq!(found("app/go.txt", format!("a sha512-{}==", random(LETTERS, 86))), [""; 0]);
    assert_eq!(found("app/x.py", "def a_function_with_a_very_long_name_indeed(argument_number_one): pass"), [""; 0]);
}

#[test]
fn the_place_says_how_much_a_find_is_worth() {
    let text = format!("t = '{}'\n", github());
    assert_eq!(found("usr/lib/python3/dist-packages/x.py", &text), ["github-token:1 medium"]);
    assert_eq!(found("app/node_modules/x/y.js", &text), ["github-token:1 medium"]);
    assert_eq!(found("node_modules/x/y.js", &text), ["github-token:1 medium"]);
    assert_eq!(found("usr/src/app/y.js", &text), ["github-token:1 high"]);
    assert_eq!(found("app/tests/y.py", &text), ["github-token:1 low"]);
    assert_eq!(found("usr/lib/python3/dist-packages/cryptography/vectors/k.pem", key("RSA ")), [""; 0]);
    assert_eq!(found("app/testdata/k.pem", key("RSA ")), ["private-key:1 low"]);
    let url = format!("postgres://me:{}@db/app", password());
    assert_eq!(found("app/x.py", format!("u = '{url}'")).len(), 1);
    assert_eq!(found("usr/share/x/x.txt", &url), [""; 0]);
}

#[test]
fn passwords_without_a_form_are_found_in_settings_only() {
    let setting = format!("database:\n  password: \"{}\"\n", password());
    assert_eq!(found("app/config.yml", &setting), ["generic-token:2 high"]);
    assert_eq!(found("app/view.txt", &setting), [""; 0]);
    assert_eq!(found("etc/app.yml", &setting), [""; 0]);
}

#[test]
fn what_is_large_packed_or_a_database_is_not_read() {
    assert!(Scanner::wants(b"app/main.py", 1 << 20));
    assert!(!Scanner::wants(b"app/main.py", (1 << 20) + 1));
    assert!(!Scanner::wants(b"app/main.py", 0));
    assert!(Scanner::wants(b"app/terraform.tfstate", 4 << 20), "known by its name");
    assert!(!Scanner::wants(b"app/terraform.tfstate", 17 << 20));
    assert!(!Scanner::wants(b"app/logo.png", 100));
    assert!(!Scanner::wants(b"usr/share/doc/git/a.txt", 100));
    assert!(!Scanner::wants(b"var/lib/dpkg/info/a.md5sums", 100));
}

#[test]
fn any_bytes_are_looked_through_without_harm() {
    let mut bytes = format!("{}\0{}", key("RSA "), github()).into_bytes();
    assert_eq!(found("app/data", &bytes), [""; 0], "a NUL makes it binary");
    bytes.iter_mut().step_by(7).for_each(|byte| *byte = byte.wrapping_mul(31));
    for cut in (0..bytes.len()).step_by(13) {
        for path in ["app/.env", "root/.npmrc", "app/tls.key", "app/a.p12", "etc/shadow", "root/.netrc", "app/x.py"] {
            let _ = scan(path, &bytes[cut..]);
        }
    }
}

#[test]
fn windows_of_settings_show_what_the_whole_file_does() {
    let hex = random(HEXADECIMAL, 32);
    let filler = "colour: blue\nwidth: 17\n".repeat(400);
    let rules = Rules::new().expect("the rules");
    let names = windows::names().expect("the words");
    let texts = [
        format!("{filler}datadog_api_{}: {hex}\n{filler}", "key"),
        format!("{filler}db_{}: {}\n{filler}", "password", password()),
        format!("{filler}env:\n  - name: MISTRAL_API_{}\n    value: {hex}\n{filler}", "KEY"),
        format!("{filler}github: {}\n{filler}", github()),
        format!("{filler}url: postgres://app:{}@db/app\n{filler}", password()),
    ];
    for text in texts {
        let hits = |windows: Vec<Range<usize>>| -> Vec<(String, usize)> {
            let look = |window: Range<usize>| {
                rules.everything(&text.as_bytes()[window.clone()], window.start).expect("a scan")
            };
            windows.into_iter().flat_map(look).map(|hit| (hit.rule, hit.start)).collect()
        };
        let all = std::iter::once(0..text.len()).collect();
        let windows = windows::of_settings(text.as_bytes(), &names);
        assert!(windows.iter().map(Range::len).sum::<usize>() < 1000, "{windows:?}");
        let expected = hits(all);
        assert!(!expected.is_empty(), "{text}");
        assert_eq!(hits(windows), expected);
    }
}

#[test]
fn a_token_is_found_wherever_it_stands() {
    let token = github();
    for (before, after) in (0..64).flat_map(|before| [(before, 0), (before, 1), (before, 30)]) {
        let text = format!("{} {token} {}", "ab ".repeat(22).split_at(before).0, "c d".repeat(after));
        assert_eq!(found("app/main.py", &text).len(), 1, "{before} bytes before, {after} after");
    }
    let shortest = format!("AKIA{}", random("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16));
    for before in 0..64 {
        let text = "ab ".repeat(22).split_at(before).0.to_owned() + " " + &shortest;
        let windows = windows::of(text.as_bytes(), false);
        assert!(windows.iter().any(|window| window.end == text.len()), "{before}: {windows:?}");
    }
}

/// Where secrets are in an image's config, and what rule found each.
fn in_config(json: &serde_json::Value) -> Vec<(String, String)> {
    let config = jettison_image::Config::parse(json.to_string().as_bytes()).expect("a config");
    let found = Scanner::new().expect("the rules").scan_config(&config).expect("a scan");
    for secret in &found {
        let text = format!("{secret} {secret:?}");
        assert!(!text.contains(&password()[5..]) && !text.contains(&random(LETTERS, 9)), "{text}");
        assert!(text.contains("--remove-secrets cannot") && text.contains("RUN --mount=type=secret"), "{text}");
    }
    found.into_iter().map(|found| (found.place, found.secret.rule)).collect()
}

fn config_of(env: &[String], labels: &serde_json::Value, history: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Env": env, "Labels": labels}, "history": history,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "0".repeat(64)), format!("sha256:{}", "1".repeat(64))]},
    })
}

#[test]
fn secrets_of_the_config_are_named_by_their_places() {
    let aws = format!("API_SECRET={}{}", "AKIA", random(UPPER, 16));
    let env = ["PATH=/bin".to_owned(), aws.clone(), format!("DB_PASSWORD={}", password())];
    let labels = serde_json::json!({"x": format!("glp{}-{}", "at", random(LETTERS, 20)), "y": "web"});
    let history = serde_json::json!([
        {"created_by": "/bin/sh -c #(nop) ADD file:1 in / "},
        {"created_by": format!("/bin/sh -c #(nop)  ENV {aws}"), "empty_layer": true},
        {"created_by": format!("/bin/sh -c #(nop)  ARG PASSWORD={}", password()), "empty_layer": true},
        {"created_by": format!("|1 TOKEN={} /bin/sh -c make", github())},
    ]);
    let found = in_config(&config_of(&env, &labels, &history));
    let places: Vec<&str> = found.iter().map(|(place, _)| place.as_str()).collect();
    let expected = [
        "environment variable API_SECRET",
        "environment variable DB_PASSWORD",
        "label x",
        "history, entry 3",
        "history of layer 2",
    ];
    assert_eq!(places, expected);
    assert_eq!(found[2].1, "gitlab-token");
}

#[test]
fn settings_that_are_no_secrets_are_not_named() {
    let hex = random(HEXADECIMAL, 40);
    let env = [
        "DB_PASSWORD=",
        "TOKEN=$OTHER",
        "API_KEY=changeme",
        "POSTGRES_PASSWORD_FILE=/run/secrets/db",
        "DB_PASSWORD=/run/secrets/db",
        "MYSQL_ALLOW_EMPTY_PASSWORD=yes",
        "PYTHON_VERSION=3.13.1",
        "JAVA_TOOL_OPTIONS=-Dfile.encoding=UTF-8",
    ];
    let mut env: Vec<String> = env.map(str::to_owned).to_vec();
    env.extend([format!("GPG_KEY={hex}"), format!("PYTHON_SHA256={hex}{}", &hex[..24])]);
    let labels = serde_json::json!({"org.opencontainers.image.revision": hex, "maintainer": "me <me@a.org>"});
    let history = serde_json::json!([
        {"created_by": "RUN |1 TOKEN= /bin/sh -c set -eux; export PASSWORD=\"$(cat /run/secrets/a)\"; curl x # buildkit"},
        {"created_by": format!("COPY file:{hex} in /app # buildkit")},
    ]);
    assert_eq!(in_config(&config_of(&env, &labels, &history)), []);
    assert_eq!(
        in_config(
            &serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
        ),
        []
    );
}

#[test]
fn private_keys_of_pgp_are_found_and_public_ones_are_not() {
    let secrets = scan("app/pgp.asc", pem(&format!("PGP PRIVATE {} BLOCK", "KEY")));
    assert_eq!(secrets.len(), 1, "{secrets:?}");
    assert_eq!((secrets[0].rule.as_str(), secrets[0].line, secrets[0].is_whole_file), ("private-key", Some(1), true));
    assert_eq!(secrets[0].description, "PGP private key block");
    assert_eq!(found("app/pgp.asc", pem("PGP PUBLIC KEY BLOCK")), [""; 0]);
    assert_eq!(found("app/doc.txt", format!("it starts with -----BEGIN PGP PRIVATE {} BLOCK-----", "KEY")), [""; 0]);
}
