//! Plans for images in their text form.

use jettison_image::text::ImageText;
use jettison_image::{Config, Digest, Layer, Tree};

use jettison_ir::Level;
use jettison_ir::source::{Goal, RunStyle};

use super::*;

/// A base with a shell, the programs of the commands, and the usual folders.
const BASE: &str = r#"
layer 1
  d 0755 0:0  /bin
  f 0755 0:0  "busybox"  /bin/busybox
  l 0777 0:0  /bin/sh -> busybox
  l 0777 0:0  /bin/ln -> busybox
  l 0777 0:0  /bin/rm -> busybox
  l 0777 0:0  /bin/mkdir -> busybox
  l 0777 0:0  /bin/chmod -> busybox
  l 0777 0:0  /bin/chown -> busybox
  d 0755 0:0  /etc
  f 0644 0:0  "root:x:0:0"  /etc/passwd
  f 0644 0:0  "text"  /etc/issue
  f 0644 0:0  "text"  /etc/motd
  d 0755 0:0  /home
  l 0777 0:0  /lib -> usr/lib
  d 1777 0:0  /tmp
  d 0755 0:0  /usr
  d 0755 0:0  /usr/lib
  f 0644 0:0  "libc"  /usr/lib/libc.so
"#;

const DOCKERFILE: &str = "FROM base\nRUN make\nCMD [\"/bin/app\"]\n";

/// Plans as at -Os.
fn planned(
    tree: &str,
    image: &Image<'_, '_>,
    used: &Used,
    foundation: Foundation,
    taken: &[String],
) -> Result<Planned, Unfit> {
    let options =
        SourceOptions { level: Level::Os, goal: Goal::Release, style: RunStyle::Operators, denied: Vec::new() };
    let selection = Selection::of(Level::Os);
    plan(&Dockerfile::parse(tree), image, used, foundation, &Wish { taken, options: &options, selection: &selection })
}

/// An image whose base has the layers `below`, with this config.
struct Case {
    layers: Vec<Layer>,
    below: usize,
    configs: (Config, Config),
}

impl Case {
    fn new(own: &str) -> Self {
        Self::with(BASE, own, r#"{"Cmd":["/bin/app"]}"#, "{}")
    }

    fn with(base: &str, own: &str, config: &str, base_config: &str) -> Self {
        let settings =
            |config: &str| format!("config {{\"architecture\":\"amd64\",\"config\":{config},\"os\":\"linux\"}}\n");
        let base: ImageText = format!("{}{base}", settings(base_config)).parse().expect("a base");
        let own: ImageText = format!("{}layer 1\n{own}", settings(config)).parse().expect("an image");
        let config = |text: &ImageText| text.config(&[Digest::default()]).expect("a config");
        let mut layers = base.layers().expect("layers");
        let below = layers.len();
        layers.extend(own.layers().expect("layers"));
        Self { layers, below, configs: (config(&own), config(&base)) }
    }

    /// Of the Dockerfile with the planned stage what was not there before, or the reason why there is none.
    fn plan(&self, dockerfile: &str, used: &Used, foundation: Foundation) -> Result<String, String> {
        let tree = Tree::of(&self.layers).expect("a tree");
        let base = Tree::of(&self.layers[..self.below]).expect("a tree");
        let (config, base_config) = (&self.configs.0, Some(&self.configs.1));
        let image = Image { tree: &tree, base: &base, config, base_config };
        let planned = planned(dockerfile, &image, used, foundation, &[]).map_err(|unfit| unfit.to_string())?;
        let text = planned.tree.text();
        let at = text.find("\n# Only what").expect("the stage");
        Ok(text[at..].lines().skip(2).map(|line| format!("{line}\n")).collect())
    }

    fn stage(&self, used: &Used) -> Result<String, String> {
        self.plan(DOCKERFILE, used, Foundation::Base)
    }

    fn foundations(&self, used: &Used) -> Vec<Foundation> {
        let tree = Tree::of(&self.layers).expect("a tree");
        let base = Tree::of(&self.layers[..self.below]).expect("a tree");
        let image = Image { tree: &tree, base: &base, config: &self.configs.0, base_config: Some(&self.configs.1) };
        foundations(&image, used)
    }
}

fn paths(paths: &[&str]) -> BTreeSet<Vec<u8>> {
    paths.iter().map(|path| path.as_bytes().to_vec()).collect()
}

fn touched(touched: &[&str]) -> Used {
    Used { touched: paths(touched), ..Used::default() }
}

/// The stage of [`DOCKERFILE`] with these lines between its FROM and its CMD.
fn lines(lines: &[&str]) -> Result<String, String> {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(format!("FROM base\n{lines}CMD [\"/bin/app\"]\n"))
}

#[test]
fn files_that_were_used_are_copied_and_others_stay() {
    let case = Case::new(
        r#"
  f 0755 0:0  "app"  /bin/app
  f 0644 0:0  "one"  /usr/lib/libone.so
  f 0644 0:0  "two"  /usr/lib/libtwo.so
  f 0644 0:0  "dev"  /usr/lib/libone.a
  d 0755 0:0  /src
  f 0644 0:0  "main"  /src/main.c
"#,
    );
    let used = touched(&["/bin/app", "/lib/libone.so", "/usr/lib/../lib/libtwo.so", "/usr/lib/libc.so", "/none"]);
    let copies =
        ["COPY --from=build /bin/app /bin/", "COPY --from=build /usr/lib/libone.so /usr/lib/libtwo.so /usr/lib/"];
    assert_eq!(case.stage(&used), lines(&copies));
    assert_eq!(case.foundations(&used), [Foundation::Base]);
    // What nothing of the base was needed for needs no base; what is not the base's is copied then.
    let alone = touched(&["/bin/app"]);
    assert_eq!(case.foundations(&alone), [Foundation::Scratch, Foundation::Base]);
    let scratch = case.plan(DOCKERFILE, &alone, Foundation::Scratch).expect("a stage");
    let expected = "FROM scratch\nCOPY --from=build /bin/app /bin/\nCOPY --from=build /etc/passwd /etc/\n";
    assert_eq!(scratch, format!("{expected}CMD [\"/bin/app\"]\n"));
}

#[test]
fn folders_of_which_all_is_used_are_copied_as_such() {
    let case = Case::new(
        r#"
  d 0755 0:0  /srv
  d 0700 7:7  /srv/data
  f 0644 7:7  "x"  /srv/data/x
  l 0777 0:0  /srv/data/y -> x
  d 0755 0:0  /opt
  d 0755 0:0  /opt/app
  f 0644 0:0  "x"  /opt/app/x
  f 0644 0:0  "y"  /opt/app/y
  d 0755 0:0  /opt/other
  f 0644 0:0  "z"  /opt/other/z
"#,
    );
    let used = Used { listed: paths(&["/srv/data", "/opt/app", "/"]), ..Used::default() };
    // The folder above brings the owner and the mode.
    let copies = ["COPY --from=build /opt/app /opt/app", "COPY --from=build /srv /srv"];
    assert_eq!(case.stage(&used), lines(&copies));
}

#[test]
fn what_copies_would_not_bring_takes_commands() {
    let case = Case::new(
        r#"
  w /etc/motd
  f 0644 0:0  "root and app"  /etc/passwd
  d 0755 0:0  /opt
  d 2750 7:8  /opt/app
  f 0644 7:8  "x"  /opt/app/x
  f 0644 0:0  "y"  /opt/app/y
  f 0644 0:0  "z"  /opt/unused
  d 0777 0:0  /tmp
  f 0755 0:0  "one"  /usr/lib/libone.so.1.2
  l 0777 0:0  /usr/lib/libone.so.1 -> libone.so.1.2
  l 0777 0:0  /usr/lib/libone.so -> libone.so.1
  l 0777 7:7  /usr/lib/mine -> /opt/app
"#,
    );
    let used = Used { listed: paths(&["/opt/app"]), ..touched(&["/lib/libone.so.1", "/usr/lib/mine/x"]) };
    let expected = [
        "RUN rm -rf /etc/motd \\",
        "    && mkdir -p /opt/app \\",
        "    && chown 0:0 /tmp \\",
        "    && chown 7:8 /opt/app \\",
        "    && chmod 0777 /tmp \\",
        "    && chmod 2750 /opt/app \\",
        "    && ln -s libone.so.1.2 /usr/lib/libone.so.1 \\",
        "    && ln -s /opt/app /usr/lib/mine \\",
        "    && chown -h 7:7 /usr/lib/mine",
        // It is another one than the base's.
        "COPY --from=build /etc/passwd /etc/",
        "COPY --from=build /opt/app /opt/app",
        "COPY --from=build /usr/lib/libone.so.1.2 /usr/lib/",
    ];
    assert_eq!(case.stage(&used), lines(&expected));
    let refused = case.plan(DOCKERFILE, &used, Foundation::Scratch);
    assert!(refused.is_err_and(|reason| reason.contains("takes a command")), "nothing can run there");
    let shellless = Case::with(
        "layer 1\n  d 0755 0:0  /bin\n  f 0755 0:0  \"x\"  /bin/x\n",
        "  l 0777 0:0  /bin/app -> x\n",
        "{}",
        "{}",
    );
    let refused = shellless.stage(&touched(&["/bin/app", "/bin/x"]));
    assert_eq!(refused, Err("the link /bin/app takes a command, and what the stage starts from has no /bin/sh".into()));
}

#[test]
fn folders_of_users_are_copied_for_them() {
    let case = Case::new(
        r#"
  d 0755 7:7  /data
  f 0600 7:7  "x"  /data/x
  d 0755 0:0  /var
  d 0755 0:0  /var/cache
  d 0755 7:7  /var/cache/app
  f 0600 0:0  "unused"  /var/other
"#,
    );
    let used = Used { kept: paths(&["/data"]), written: paths(&["/var/cache/app/new"]), ..Used::default() };
    let expected = [
        "COPY --from=build --chown=7:7 /data /data",
        // The folder above comes with what is in it.
        "COPY --from=build /var/cache /var/cache",
    ];
    assert_eq!(case.stage(&used), lines(&expected));
}

#[test]
fn folders_that_only_have_to_be_there_are_made() {
    let case = Case::new(
        "  d 0755 0:0  /var\n  d 0755 0:0  /var/run\n  f 0600 0:0  \"x\"  /var/run/x\n  f 0600 0:0  \"y\"  /var/y\n",
    );
    let used = Used { written: paths(&["/var/run/pid", "/none/x"]), ..Used::default() };
    assert_eq!(case.stage(&used), lines(&["RUN mkdir -p /var/run"]));
    let shown = Used { listed: paths(&["/"]), shows_root: true, ..Used::default() };
    assert_eq!(case.stage(&shown), lines(&["RUN mkdir -p /var"]));
}

#[test]
fn modules_and_applications_are_whole() {
    let own = r#"
  d 0755 0:0  /app
  f 0644 0:0  "x"  /app/server.js
  f 0644 0:0  "x"  /app/late.js
  d 0755 0:0  /app/.git
  f 0644 0:0  "x"  /app/.git/config
  d 0755 0:0  /app/node_modules
  d 0755 0:0  /app/node_modules/used
  f 0644 0:0  "x"  /app/node_modules/used/index.js
  f 0644 0:0  "x"  /app/node_modules/used/late.js
  d 0755 0:0  /app/node_modules/@some
  d 0755 0:0  /app/node_modules/@some/used
  f 0644 0:0  "x"  /app/node_modules/@some/used/index.js
  d 0755 0:0  /app/node_modules/@some/other
  f 0644 0:0  "x"  /app/node_modules/@some/other/index.js
  d 0755 0:0  /app/node_modules/tests
  f 0644 0:0  "x"  /app/node_modules/tests/index.js
  d 0755 0:0  /usr/lib/gems
  d 0755 0:0  /usr/lib/gems/3.1.0
  d 0755 0:0  /usr/lib/gems/3.1.0/gems
  d 0755 0:0  /usr/lib/gems/3.1.0/gems/rake-13
  f 0644 0:0  "x"  /usr/lib/gems/3.1.0/gems/rake-13/rake.rb
  f 0644 0:0  "x"  /usr/lib/gems/3.1.0/gems/rake-13/late.rb
  d 0755 0:0  /usr/lib/gems/3.1.0/cache
  f 0644 0:0  "x"  /usr/lib/gems/3.1.0/cache/rake-13.gem
"#;
    let case = Case::new(own);
    let modules = ["/app/node_modules/used/index.js", "/app/node_modules/@some/used/index.js"];
    let rake = "/usr/lib/gems/3.1.0/gems/rake-13/rake.rb";
    let used = Used { scripts: paths(&["/app/server.js"]), ..touched(&[modules[0], modules[1], rake]) };
    let expected = [
        "COPY --from=build /app/late.js /app/server.js /app/",
        "COPY --from=build /app/node_modules/@some/used /app/node_modules/@some/used",
        "COPY --from=build /app/node_modules/used /app/node_modules/used",
        "COPY --from=build /usr/lib/gems/3.1.0/gems /usr/lib/gems/3.1.0/gems",
    ];
    assert_eq!(case.stage(&used), lines(&expected));
    // A file in a folder that all share says nothing of what is beside it.
    let script = Case::new("  f 0755 0:0  \"x\"  /usr/lib/run\n  f 0755 0:0  \"x\"  /usr/lib/other\n");
    let used = Used { scripts: paths(&["/usr/lib/run"]), ..Used::default() };
    assert_eq!(script.stage(&used), lines(&["COPY --from=build /usr/lib/run /usr/lib/"]));
}

#[test]
fn what_cannot_be_named_or_copied_is_declined() {
    let own = "  f 0755 0:0  \"x\"  \"/bin/a*\"\n  f 0644 0:0  \"x\"  \"/bin/a b\"\n  p 0644 0:0  /bin/pipe\n  \
               f 0644 0:0  \"x\"  /bin/one\n  h /etc/two => /bin/one\n  f 0644 0:0  \"x\"  /etc/own\n";
    let case = Case::new(own);
    for (used, reason) in [("/bin/a*", "would read as something else"), ("/bin/pipe", "is no file")] {
        assert!(case.stage(&touched(&[used])).is_err_and(|error| error.contains(reason)), "{used}");
    }
    assert!(case.stage(&touched(&["/bin/one", "/etc/two"])).is_err_and(|error| error.contains("another name")));
    // One of the names alone is a file like others.
    assert_eq!(case.stage(&touched(&["/bin/one"])), lines(&["COPY --from=build /bin/one /bin/"]));
    assert_eq!(case.stage(&touched(&["/bin/a b"])), lines(&["COPY --from=build [\"/bin/a b\", \"/bin/\"]"]));
}

#[test]
fn many_copies_become_folders() {
    let mut own = String::from("  d 0755 0:0  /opt\n  d 0755 0:0  /opt/x\n");
    let mut used = Vec::new();
    for number in 0..30 {
        own.push_str(&format!("  d 0755 0:0  /opt/x/{number}\n  f 0644 0:0  \"x\"  /opt/x/{number}/used\n"));
        own.push_str(&format!("  f 0644 0:0  \"x\"  /opt/x/{number}/unused\n"));
        used.push(format!("/opt/x/{number}/used"));
    }
    let used = touched(&used.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(Case::new(&own).stage(&used), lines(&["COPY --from=build /opt /opt"]));
}

#[test]
fn settings_are_those_of_the_stages_before() {
    let case = Case::with(
        BASE,
        "  f 0755 0:0  \"app\"  /bin/app\n  l 0777 0:0  /bin/x -> app\n",
        r#"{"User":"app","Cmd":["x"],"Env":["A=1","PATH=/bin","B=2 $"]}"#,
        r#"{"User":"nobody","Env":["PATH=/bin","Q=\"$x"],"Labels":{"a b":"c"},"WorkingDir":"/srv","ExposedPorts":{"80/tcp":{}},"ArgsEscaped":true}"#,
    );
    let used = touched(&["/bin/app"]);
    let dockerfile = "# syntax=docker/dockerfile:1\nARG TAG=1\nFROM --platform=linux/amd64 base:$TAG AS below\n\
                      WORKDIR /a\nWORKDIR b\nENV A=1\nENTRYPOINT [\"old\"]\nUSER 0\n\
                      FROM below as Final\n# why\nARG B=2\nARG UNUSED\nRUN make $UNUSED\nENV B=\"$B \\\n  $\"\nWORKDIR /c\nWORKDIR d\n\
                      ENTRYPOINT [\"new\"]\nLABEL l=1\nCMD [\"x\"]\nEXPOSE 80\nONBUILD RUN x\nHEALTHCHECK NONE\nSTOPSIGNAL 9";
    let settings = "ENV A=1\nUSER 0\nARG B=2\nENV B=\"$B \\\n  $\"\nWORKDIR /c\nWORKDIR d\nENTRYPOINT [\"new\"]\nLABEL l=1\n\
                    CMD [\"x\"]\nEXPOSE 80\nONBUILD RUN x\nHEALTHCHECK NONE\nSTOPSIGNAL 9\n";
    let from = "FROM --platform=linux/amd64 base:$TAG AS Final\nCOPY --from=build /bin/app /bin/\n";
    assert_eq!(case.plan(dockerfile, &used, Foundation::Base), Ok(format!("{from}{settings}")));
    let tree = Tree::of(&case.layers).expect("a tree");
    let base = Tree::of(&case.layers[..case.below]).expect("a tree");
    let image = Image { tree: &tree, base: &base, config: &case.configs.0, base_config: Some(&case.configs.1) };
    let planned = planned(dockerfile, &image, &used, Foundation::Base, &["build".to_owned()]);
    let text = planned.expect("a stage").tree.text().to_owned();
    assert!(text.contains("\nFROM below as builder\n# why\n"), "{text}");
    // Commands are root's, and the user is the base's again.
    let linked = case.plan("FROM base\nCMD x\n", &touched(&["/bin/x"]), Foundation::Base);
    let expected = "FROM base\nUSER 0\nRUN ln -s app /bin/x\nCOPY --from=build /bin/app /bin/\nUSER nobody\nCMD x\n";
    assert_eq!(linked, Ok(expected.to_owned()));
    // Without the base its settings are written out.
    let scratch = case.plan("FROM base\nCMD x\n", &used, Foundation::Scratch).expect("a stage");
    let literals =
        "USER nobody\nENV PATH=/bin \\\n    Q=\"\\\"\\$x\"\nLABEL \"a b\"=c\nWORKDIR /srv\nEXPOSE 80/tcp\nCMD x\n";
    assert!(scratch.ends_with(literals), "{scratch}");
}

#[test]
fn what_a_stage_could_not_repeat_is_declined() {
    let own = "  f 0755 0:0  \"app\"  /bin/app\n";
    let used = touched(&["/bin/app"]);
    let triggers = Case::with(BASE, own, "{}", r#"{"OnBuild":["RUN x"]}"#);
    assert!(triggers.stage(&used).is_err_and(|reason| reason.contains("ONBUILD")));
    let arguments = "FROM base AS below\nARG A\nENV A=$A\nFROM below\nRUN make\n";
    let refused = Case::new(own).plan(arguments, &used, Foundation::Base);
    assert!(refused.is_err_and(|reason| reason.contains("build arguments")));
    let health = Case::with(BASE, own, "{}", r#"{"Healthcheck":{"Test":["NONE"]}}"#);
    assert!(health.plan(DOCKERFILE, &used, Foundation::Scratch).is_err_and(|reason| reason.contains("settings")));
}

#[test]
fn the_file_keeps_its_line_ends_and_escape_character() {
    let case = Case::new("  f 0755 0:0  \"app\"  /bin/app\n  l 0777 0:0  /bin/x -> app\n  l 0777 0:0  /bin/y -> app\n");
    let dockerfile = "# escape=`\r\nFROM base\r\nRUN make\r\n";
    let tree = Tree::of(&case.layers).expect("a tree");
    let base = Tree::of(&case.layers[..case.below]).expect("a tree");
    let image = Image { tree: &tree, base: &base, config: &case.configs.0, base_config: Some(&case.configs.1) };
    let used = touched(&["/bin/x", "/bin/y"]);
    let planned = planned(dockerfile, &image, &used, Foundation::Base, &[]).expect("a stage");
    let text = planned.tree.text();
    assert!(text.contains("FROM base AS build\r\n") && text.contains("RUN ln -s app /bin/x `\r\n    && ln"), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}
