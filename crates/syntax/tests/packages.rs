//! Package-manager commands: what is read out of commands as Dockerfiles have them.

use jettison_syntax::Span;
use jettison_syntax::packages::{Argument, PackageCommand, read};

/// Words at spaces, `'…'` being one word; a word with `$` or a bare `*` has no value.
fn words(text: &str) -> Vec<(Option<String>, Span)> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let quoted = text[start..].starts_with('\'');
        let from = start + usize::from(quoted);
        let length = text[from..].find(if quoted { '\'' } else { ' ' }).unwrap_or(text.len() - from);
        let value = &text[from..from + length];
        let span = Span::new(start, from + length + usize::from(quoted));
        found.push(((quoted || !value.contains(['$', '*'])).then(|| value.to_owned()), span));
        start = span.range().end + 1;
    }
    found
}

fn command(text: &str) -> Option<PackageCommand> {
    let words = words(text);
    let arguments: Vec<Argument<'_>> =
        words.iter().map(|(value, span)| Argument { value: value.as_deref(), span: *span }).collect();
    read(&arguments)
}

/// `Manager Verb options | packages | other arguments | unknown, project, relative paths`.
fn compact(command: &PackageCommand) -> String {
    let mut text = format!("{:?} {:?}", command.manager, command.verb);
    for option in &command.options {
        text += &format!(" {}", option.name);
        if let Some(value) = &option.value {
            text += &format!("={value}");
        }
    }
    if !command.packages.is_empty() {
        text += " |";
        for package in &command.packages {
            let file = if package.is_file { "file:" } else { "" };
            let qualifier = package.qualifier.as_ref().map(|text| format!("[{text}]")).unwrap_or_default();
            let version = package.version.as_ref().map(|text| format!("({text})")).unwrap_or_default();
            text += &format!(" {file}{}{qualifier}{version}", package.name);
        }
    }
    if !command.arguments.is_empty() {
        let listed: Vec<&str> = command.arguments.iter().map(|(word, _)| word.as_str()).collect();
        text += &format!(" + {}", listed.join(" "));
    }
    if command.unknown {
        text += " ?unknown";
    }
    if command.reads_working_directory() {
        text += " @project";
    }
    let relative: Vec<&str> = command.relative_paths().iter().map(|(path, _)| *path).collect();
    if !relative.is_empty() {
        text += &format!(" <- {}", relative.join(" "));
    }
    text
}

const COMMANDS: &[(&str, &str)] = &[
    ("apt-get update", "AptGet Update"),
    ("apt-get -qq update", "AptGet Update -q -q"),
    ("apt-get -q=2 update", "AptGet Update -q=2"),
    ("apt-get install -y --no-install-recommends curl git", "AptGet Install -y --no-install-recommends | curl git"),
    ("apt-get -y install curl=7.88.1-10 libc6:i386", "AptGet Install -y | curl(=7.88.1-10) libc6[i386]"),
    ("apt-get install -y -t bookworm-backports golang/sid", "AptGet Install -y -t=bookworm-backports | golang(/sid)"),
    ("apt-get install -yt sid git", "AptGet Install -y -t=sid | git"),
    ("apt-get -o Acquire::Retries=3 update", "AptGet Update -o=Acquire::Retries=3"),
    ("apt-get -oDpkg::Use-Pty=0 install -y vim", "AptGet Install -o=Dpkg::Use-Pty=0 -y | vim"),
    ("apt-get install -y ./x.deb /tmp/y.deb", "AptGet Install -y | file:./x.deb file:/tmp/y.deb <- ./x.deb"),
    ("apt-get install -y $PACKAGES git", "AptGet Install -y | git ?unknown"),
    ("apt-get purge -y --auto-remove gcc", "AptGet Purge -y --auto-remove | gcc"),
    ("apt-get autoremove -y", "AptGet AutoRemove -y"),
    ("apt-get clean", "AptGet Clean"),
    ("apt-get dist-upgrade -y", "AptGet Upgrade -y"),
    ("apt-get build-dep -y python3", "AptGet Install -y | python3"),
    ("apt-get install -y -- g++", "AptGet Install -y | g++"),
    ("apt-get", "AptGet Other"),
    ("apt-get $VERB git", "AptGet Other + git ?unknown"),
    ("apt-get moo cow", "AptGet Other + cow"),
    ("sudo -E -u root apt-get install -y curl", "AptGet Install -y | curl"),
    ("DEBIAN_FRONTEND=noninteractive apt-get install -y tzdata", "AptGet Install -y | tzdata"),
    ("env DEBIAN_FRONTEND=noninteractive LANG=C /usr/bin/apt-get update", "AptGet Update"),
    ("time -p nice -n 10 ionice -c 3 eatmydata apt install git", "Apt Install | git"),
    ("timeout 300 apt-get update", "AptGet Update"),
    ("xargs -n 50 apt-get install -y", "AptGet Install -y ?unknown"),
    ("exec aptitude -y install nginx", "Aptitude Install -y | nginx"),
    ("doas apk add git", "Apk Install | git"),
    ("dpkg -i app.deb", "Dpkg Install -i | file:app.deb <- app.deb"),
    ("dpkg --install /tmp/app.deb", "Dpkg Install --install | file:/tmp/app.deb"),
    ("dpkg --purge gcc", "Dpkg Purge --purge | gcc"),
    ("dpkg -l", "Dpkg Query -l"),
    ("dpkg --add-architecture i386", "Dpkg Other --add-architecture | i386"),
    ("apk add --no-cache git~=2.4 curl>8 zlib=1.2-r0", "Apk Install --no-cache | git(~=2.4) curl(>8) zlib(=1.2-r0)"),
    ("apk add -t .deps gcc", "Apk Install -t=.deps | gcc"),
    ("apk add --virtual .build-deps gcc make", "Apk Install --virtual=.build-deps | gcc make"),
    ("apk add --virtual=.deps gcc", "Apk Install --virtual=.deps | gcc"),
    (
        "apk add -X http://x.org/edge --repository http://y.org nodejs@edge",
        "Apk Install -X=http://x.org/edge --repository=http://y.org | nodejs(@edge)",
    ),
    ("apk --no-cache --update add bash", "Apk Install --no-cache --update | bash"),
    ("apk add -U bash", "Apk Install -U | bash"),
    (
        "apk add --allow-untrusted /tmp/x.apk glibc.apk",
        "Apk Install --allow-untrusted | file:/tmp/x.apk file:glibc.apk <- glibc.apk",
    ),
    ("apk del --no-network .build-deps", "Apk Remove --no-network | .build-deps"),
    ("apk update", "Apk Update"),
    ("apk upgrade --no-cache", "Apk Upgrade --no-cache"),
    ("apk cache clean", "Apk Clean + clean"),
    (
        "dnf install -y --setopt=install_weak_deps=False --nodocs git-2.4",
        "Dnf Install -y --setopt=install_weak_deps=False --nodocs | git-2.4",
    ),
    (
        "dnf -y --setopt tsflags=nodocs --enablerepo crb install @development",
        "Dnf Install -y --setopt=tsflags=nodocs --enablerepo=crb | @development",
    ),
    ("dnf clean all", "Dnf Clean + all"),
    ("dnf group install -y 'Development Tools'", "Dnf Install -y | Development Tools"),
    ("microdnf update -y", "Microdnf Upgrade -y"),
    ("yum install -y https://x.org/e.rpm gcc.x86_64", "Yum Install -y | file:https://x.org/e.rpm gcc.x86_64"),
    ("yum makecache fast", "Yum Update + fast"),
    ("rpm -ivh http://x.org/a.rpm", "Rpm Install -i -v -h | file:http://x.org/a.rpm"),
    ("rpm -e --nodeps tzdata", "Rpm Remove -e --nodeps | tzdata"),
    ("rpm -qa", "Rpm Query -q -a"),
    ("rpm --import key.asc", "Rpm Other --import=key.asc <- key.asc"),
    ("apk --no-cache --virtual .deps add gcc", "Apk Install --no-cache --virtual=.deps | gcc"),
    ("apt-get $OPTIONS install -y git", "AptGet Install -y | git ?unknown"),
    ("conda clean -tipsy", "Conda Clean -t -i -p -s -y"),
    ("conda install -p /env -c bioconda samtools", "Conda Install -p=/env -c=bioconda | samtools"),
    ("cargo +nightly install racer", "Cargo Install | racer + +nightly @project"),
    ("bundle _2.1.4_ install", "Bundle Install + _2.1.4_ @project"),
    ("dotnet publish /p:Trim=true app.csproj", "Dotnet Build | file:app.csproj + /p:Trim=true @project <- app.csproj"),
    (
        "zypper --non-interactive in --no-recommends git>=2",
        "Zypper Install --non-interactive --no-recommends | git(>=2)",
    ),
    ("zypper -n ref", "Zypper Update -n"),
    ("zypper clean -a", "Zypper Clean -a"),
    ("pacman -Syu --noconfirm", "Pacman Upgrade -S -y -u --noconfirm"),
    ("pacman -Sy", "Pacman Update -S -y"),
    ("pacman -Syu --noconfirm --needed git", "Pacman Install -S -y -u --noconfirm --needed | git"),
    ("pacman -Scc --noconfirm", "Pacman Clean -S -c -c --noconfirm"),
    ("pacman -Rns --noconfirm gcc", "Pacman Purge -R -n -s --noconfirm | gcc"),
    ("pacman -S --noconfirm $PKGS", "Pacman Install -S --noconfirm ?unknown"),
    ("pacman -U x.pkg.tar.zst", "Pacman Install -U | file:x.pkg.tar.zst <- x.pkg.tar.zst"),
    ("emerge -q --jobs 4 dev-vcs/git", "Emerge Install -q --jobs=4 | dev-vcs/git"),
    ("emerge --sync", "Emerge Update --sync"),
    ("xbps-install -Syu", "Xbps Upgrade -S -y -u"),
    ("xbps-install -Sy git", "Xbps Install -S -y | git"),
    ("xbps-remove -O", "Xbps Clean -O"),
    (
        "pip install --no-cache-dir -r requirements.txt",
        "Pip Install --no-cache-dir -r=requirements.txt <- requirements.txt",
    ),
    ("pip3 install -rreq.txt -c /c.txt", "Pip Install -r=req.txt -c=/c.txt <- req.txt"),
    (
        "pip3.11 install 'requests[socks]==2.31' 'flask>=2,<3' six",
        "Pip Install | requests[socks](==2.31) flask(>=2,<3) six",
    ),
    ("python3 -m pip install -U pip setuptools", "Pip Install -U | pip setuptools"),
    ("python3.12 -I -m pip install -i https://i.org/simple .", "Pip Install -i=https://i.org/simple | file:. <- ."),
    (
        "pip install --index-url https://i.org --extra-index-url https://e.org torch",
        "Pip Install --index-url=https://i.org --extra-index-url=https://e.org | torch",
    ),
    ("pip install -e .[dev] git+https://x.org/y.git", "Pip Install -e=.[dev] | file:git+https://x.org/y.git <- .[dev]"),
    (
        "pip install dist/x.whl 'a @ https://x.org/a.whl'",
        "Pip Install | file:dist/x.whl a(@ https://x.org/a.whl) <- dist/x.whl",
    ),
    ("pip uninstall -y wheel", "Pip Remove -y | wheel"),
    ("pip cache purge", "Pip Clean + purge"),
    ("uv pip install --system -r requirements.txt", "Uv Install --system -r=requirements.txt <- requirements.txt"),
    ("uv sync --frozen --no-dev", "Uv Install --frozen --no-dev @project"),
    ("uv tool install ruff", "Uv Install | ruff"),
    ("uv cache clean", "Uv Clean + clean"),
    ("poetry install --no-root --without dev", "Poetry Install --no-root --without=dev @project"),
    ("poetry config virtualenvs.create false", "Poetry Other + virtualenvs.create false"),
    ("pipenv install --system --deploy", "Pipenv Install --system --deploy @project"),
    ("pdm sync --prod", "Pdm Install --prod @project"),
    (
        "conda install -y -c conda-forge python=3.11 conda-forge::numpy",
        "Conda Install -y -c=conda-forge | python(=3.11) numpy[conda-forge]",
    ),
    ("conda env create -f environment.yml", "Conda Install -f=environment.yml <- environment.yml"),
    ("conda clean -afy", "Conda Clean -a -f -y"),
    ("mamba install -n base 'scipy>=1'", "Mamba Install -n=base | scipy(>=1)"),
    ("micromamba clean --all --yes", "Micromamba Clean --all --yes"),
    ("npm ci --omit=dev", "Npm Install --omit=dev @project"),
    ("npm install -g npm@10 @angular/cli@17", "Npm Install -g | npm(@10) @angular/cli(@17)"),
    ("npm install --prefix app", "Npm Install --prefix=app @project <- app"),
    ("npm run build -- --prod", "Npm Run + build --prod @project"),
    ("npm cache clean --force", "Npm Clean --force + clean"),
    ("yarn", "Yarn Install @project"),
    ("yarn --frozen-lockfile", "Yarn Install --frozen-lockfile @project"),
    ("yarn install --network-timeout 600000", "Yarn Install --network-timeout=600000 @project"),
    ("yarn global add serve@14", "Yarn Install | serve(@14)"),
    ("yarn build", "Yarn Run @project"),
    ("yarn cache clean", "Yarn Clean + clean"),
    ("pnpm install --frozen-lockfile", "Pnpm Install --frozen-lockfile @project"),
    ("pnpm add -g turbo", "Pnpm Install -g | turbo"),
    ("pnpm store prune", "Pnpm Clean"),
    ("bun install --production", "Bun Install --production @project"),
    ("gem install bundler -v 2.4.1 --no-document", "Gem Install -v=2.4.1 --no-document | bundler"),
    ("gem install jekyll:4.3 rake", "Gem Install | jekyll(:4.3) rake"),
    ("gem install x.gem", "Gem Install | file:x.gem <- x.gem"),
    ("bundle install --jobs 4 --without development", "Bundle Install --jobs=4 --without=development @project"),
    ("bundle exec rake assets", "Bundle Run + rake assets @project"),
    ("go mod download", "Go Download @project"),
    (
        "go build -ldflags '-s -w' -o /app ./cmd/app",
        "Go Build -ldflags=-s -w -o=/app + ./cmd/app @project <- ./cmd/app",
    ),
    ("go install golang.org/x/tools/gopls@latest", "Go Install | golang.org/x/tools/gopls(@latest) @project"),
    (
        "cargo build --release --target x86_64-unknown-linux-musl",
        "Cargo Build --release --target=x86_64-unknown-linux-musl @project",
    ),
    ("cargo install --locked --path crates/cli", "Cargo Install --locked --path=crates/cli @project <- crates/cli"),
    ("cargo fetch", "Cargo Download @project"),
    ("mvn -B -DskipTests clean package", "Maven Build -B -D=skipTests + package @project"),
    ("./mvnw dependency:go-offline", "Maven Download @project"),
    ("./gradlew build -x test --no-daemon", "Gradle Build -x=test --no-daemon @project"),
    ("sbt -Dx=y clean", "Sbt Clean -D=x=y @project"),
    ("composer install --no-dev -d app", "Composer Install --no-dev -d=app @project <- app"),
    ("composer global require phpunit/phpunit:^10", "Composer Install | phpunit/phpunit(:^10)"),
    ("composer clear-cache", "Composer Clean"),
    ("dotnet restore src/App.csproj", "Dotnet Install | file:src/App.csproj @project <- src/App.csproj"),
    ("dotnet publish -c Release -o /out", "Dotnet Build -c=Release -o=/out @project"),
    ("dotnet nuget locals all --clear", "Dotnet Clean --clear + all"),
    ("nuget restore App.sln", "Nuget Install | file:App.sln @project <- App.sln"),
    ("luarocks install lua-cjson 2.1.0", "Luarocks Install | lua-cjson(2.1.0)"),
    ("cpanm --notest Moose@2.2", "Cpanm Install --notest | Moose(@2.2)"),
    ("cpanm --installdeps .", "Cpanm Install --installdeps | file:. <- ."),
    ("opam install -y dune.3.0", "Opam Install -y | dune(.3.0)"),
    ("cabal update", "Cabal Update"),
    ("stack build --system-ghc", "Stack Build --system-ghc @project"),
    ("brew install python@3.11", "Brew Install | python@3.11"),
    ("echo apt-get install", "-"),
    ("command -v apt-get", "-"),
    ("sudo", "-"),
    ("$TOOL install x", "-"),
    ("python3 app.py -m pip", "-"),
    ("python3 -m venv pip", "-"),
    ("bin/apt-get update", "-"),
    ("env -C /x apt-get update", "-"),
    ("A=B", "-"),
];

#[test]
fn commands_as_dockerfiles_have_them() {
    let mut differences = Vec::new();
    for (text, expected) in COMMANDS {
        let found = command(text).map_or_else(|| "-".to_owned(), |command| compact(&command));
        if found != *expected {
            differences.push(format!("{text}\n  is       {found}\n  expected {expected}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn spans_are_those_of_the_words() {
    let text = "sudo python3 -m pip --quiet install -r r.txt a==1 -c $X";
    let command = command(text).expect("pip");
    assert_eq!(command.name_span.of(text), "python3 -m pip");
    assert_eq!(command.verb_span.expect("a verb").of(text), "install");
    let options: Vec<&str> = command.options.iter().map(|option| option.span.of(text)).collect();
    assert_eq!(options, ["--quiet", "-r r.txt", "-c $X"]);
    assert_eq!(command.packages[0].span.of(text), "a==1");
    assert!(command.unknown);
    assert_eq!(command.option_value(&["-r", "--requirement"]), Some("r.txt"));
    assert_eq!(command.option_value(&["-c"]), None);
    assert!(command.has_option(&["-q", "--quiet"]) && !command.has_option(&["-y"]));
}

#[test]
fn verbs_said_by_the_program_or_an_option() {
    let span = |text: &str| command(text).expect("a manager").verb_span.map(|span| span.of(text).to_owned());
    assert_eq!(span("yarn --prod"), None);
    assert_eq!(span("pacman --noconfirm -Sy x").as_deref(), Some("-Sy"));
    assert_eq!(span("uv -q pip install x").as_deref(), Some("pip install"));
}

#[test]
fn distributions_and_languages() {
    for (text, expected) in
        [("apt-get update", true), ("xbps-install x", true), ("pip install x", false), ("brew install x", false)]
    {
        assert_eq!(command(text).expect("a manager").is_system(), expected, "{text}");
    }
}

#[test]
fn any_words_are_read_without_a_panic() {
    use proptest::prelude::*;
    let word = "(apt-get|apk|pip|pacman|go|mvn|sudo|env|python3|install|add|-S|-Dx|-t|--|-|-y=|--x=|=|-é|@|\\[|a:b|A=B|\\$X|\\.|)";
    proptest!(|(words in proptest::collection::vec(word, 0..8))| {
        let text = words.join(" ");
        if let Some(command) = command(&text) {
            let spans = command.options.iter().map(|option| option.span);
            for span in spans.chain(command.packages.iter().map(|package| package.span)) {
                prop_assert!(text.get(span.range()).is_some());
            }
            let _ = command.relative_paths();
        }
    });
}
