//! The values of keys in tools' configuration files, in the grammars that the tools have.
//!
//! A rule's key says which grammar it is: `<name>` is an XML element, `key="name"` an XML `add`, `"name"` a member in
//! JSON, `name:` a YAML list, `Scope::Name` apt's own grammar, and everything else stands at the start of a line.

use bstr::ByteSlice as _;
use serde_json::Value;

/// The values of a key, in the order of the file. Comments have none.
pub(crate) fn values(text: &[u8], key: &str) -> Vec<String> {
    let text = text.to_str_lossy();
    let mut values = if let Some(name) = key.strip_prefix('<') {
        elements(&without_comments(&text), name.trim_end_matches('>'))
    } else if key.starts_with("key=") {
        added(&without_comments(&text), key)
    } else if key.starts_with('"') {
        let mut found = Vec::new();
        members(&serde_json::from_str(&text).unwrap_or_default(), key.trim_matches('"'), &mut found);
        found
    } else if key.contains("::") {
        of_apt(&text, key)
    } else if key.ends_with(':') {
        listed(&text, key)
    } else {
        // The last one counts.
        at_line_start(&text, key).into_iter().collect()
    };
    values.retain(|value| !value.is_empty());
    values
}

/// XML without comments, in which the files that tools ship have their examples.
fn without_comments(text: &str) -> String {
    let mut parts = text.split("<!--");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once("-->").map_or("", |(_, rest)| rest))
}

/// `<name>value</name>`
fn elements(text: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = text.split(&open).skip(1).filter_map(|part| part.split_once(&close));
    parts.map(|(value, _)| value.trim().to_owned()).collect()
}

/// `<add key="name" value="value" />`
fn added(text: &str, key: &str) -> Vec<String> {
    let tags = text.split("<add").skip(1).filter_map(|part| part.split_once('>')).map(|(tag, _)| tag);
    let tags = tags.filter(|tag| tag.to_ascii_lowercase().contains(&key.to_ascii_lowercase()));
    let values = tags.filter_map(|tag| tag.split_once("value=\"")?.1.split_once('"'));
    values.map(|(value, _)| value.trim().to_owned()).collect()
}

/// `"name": "value"`, in objects of any depth.
fn members(json: &Value, name: &str, out: &mut Vec<String>) {
    for (key, value) in json.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(text) if key == name => out.push(text.to_owned()),
            _ => members(value, name, out),
        }
    }
}

/// `name:` at the start of a line, and a value, a list in brackets, or a list with an item a line behind it.
fn listed(text: &str, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_in = false;
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim_end();
        let item = line.trim_start().strip_prefix("- ").filter(|_| is_in);
        if line.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let rest = line.strip_prefix(key);
        is_in = rest.is_some() || item.is_some();
        let items = item.or(rest).unwrap_or_default().trim();
        let items = items.strip_prefix('[').map_or(items, |items| items.trim_end_matches(']'));
        found.extend(items.split(',').map(|item| item.trim().trim_matches(['"', '\'']).to_owned()));
    }
    found
}

/// `Scope::Name "value";` and `Scope { Name "value"; }`, as apt.conf(5) has it. Names have no case.
fn of_apt(text: &str, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut scopes: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return found };
        let is_comment = rest.starts_with("//") || rest.starts_with('#');
        let (token, behind) = match first {
            _ if is_comment => ("", rest.split_once('\n').map_or("", |(_, behind)| behind)),
            '/' if rest.starts_with("/*") => ("", rest.split_once("*/").map_or("", |(_, behind)| behind)),
            '"' => rest[1..].split_once('"').unwrap_or((&rest[1..], "")),
            '{' | '}' | ';' => rest.split_at(1),
            _ => rest.split_at(rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len())),
        };
        rest = behind;
        match (first, token) {
            ('{', _) => scopes.push(words.drain(..).next().unwrap_or_default()),
            (';' | '}', _) => {
                if let [name, value] = &words[..] {
                    let names: Vec<&str> = scopes.iter().chain([name]).map(String::as_str).collect();
                    found.extend(names.join("::").eq_ignore_ascii_case(key).then(|| value.clone()));
                }
                words.clear();
                if first == '}' {
                    scopes.pop();
                }
            }
            (_, "") if first != '"' => {}
            (_, token) => words.push(token.to_owned()),
        }
    }
}

/// The last value behind a key at the start of a line: behind `=`, `:` or blanks, in quotes or not.
fn at_line_start(text: &str, key: &str) -> Option<String> {
    let value = |line: &str| {
        let (start, behind) = line.split_at_checked(key.len())?;
        let rest = behind.trim_start();
        let is_separated = rest.len() < behind.len() || rest.starts_with(['=', ':']);
        let value = rest.trim_start_matches(['=', ':']).trim();
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
            _ => value.split(" #").next().unwrap_or_default().trim_end().trim_end_matches(';'),
        };
        (start.eq_ignore_ascii_case(key) && is_separated && !value.is_empty()).then(|| value.to_owned())
    };
    text.lines().filter_map(|line| value(line.trim())).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, key: &str) -> Vec<String> {
        values(text.as_bytes(), key)
    }

    #[test]
    fn lines_have_a_key_and_a_value() {
        assert_eq!(all("[global]\ncache-dir = /srv/pip\n", "cache-dir"), ["/srv/pip"]);
        assert_eq!(all("cache=/a\ncache=/b", "cache"), ["/b"]);
        assert_eq!(all("cacheFolder: \"/srv/yarn\"", "cacheFolder"), ["/srv/yarn"]);
        assert_eq!(all("cache-dir = \"~/uvc\" # mine", "cache-dir"), ["~/uvc"]);
        assert_eq!(all("cache-dir = /a b # mine", "cache-dir"), ["/a b"]);
        assert_eq!(all("# cache = /a\ncached = /b\ncache =\né", "cache"), [""; 0]);
    }

    #[test]
    fn elements_of_xml_hold_values_and_comments_hold_none() {
        let maven = "<settings><!-- <localRepository>/x</localRepository>\n-->\n  <localRepository>\n /data/m2 \
                     </localRepository></settings>";
        assert_eq!(all(maven, "<localRepository>"), ["/data/m2"]);
        assert_eq!(all("<localRepository>/x", "<localRepository>"), [""; 0]);
        assert_eq!(all("<localRepository></localRepository>", "<localRepository>"), [""; 0]);
        let nuget = "<config>\n<add key=\"repositoryPath\" value=\"/no\" /><!--<add key=\"globalPackagesFolder\" \
                     value=\"/no\"/>-->\n<add key=\"globalPackagesFolder\" value=\"/x\" />";
        assert_eq!(all(nuget, "key=\"globalPackagesFolder\""), ["/x"]);
    }

    #[test]
    fn members_of_json_are_found_in_any_layout() {
        let key = "\"cache-dir\"";
        assert_eq!(all("{\n \"config\": {\n  \"cache-dir\": \"/data/comp\",\n  \"a\": 1\n }\n}", key), ["/data/comp"]);
        assert_eq!(all("{\"config\":{\"cache-dir\":\"\\/data\\/comp\"}}", key), ["/data/comp"]);
        assert_eq!(all("{\"a\":\"cache-dir\",\"cache-dir\":3}", key), [""; 0]);
        assert_eq!(all("no JSON \"cache-dir\": \"/x\"", key), [""; 0]);
    }

    #[test]
    fn lists_of_yaml_are_read_in_both_forms() {
        let block = "channels:\n  - a\npkgs_dirs:\n  # mine\n  - /data/a # b\n\n  - \"/data/b\"\nenvs_dirs:\n  - /no\n";
        assert_eq!(all(block, "pkgs_dirs:"), ["/data/a", "/data/b"]);
        assert_eq!(all("pkgs_dirs:\n- /a\n", "pkgs_dirs:"), ["/a"]);
        assert_eq!(all("pkgs_dirs: [/a, '/b']", "pkgs_dirs:"), ["/a", "/b"]);
        assert_eq!(all("pkgs_dirs: /a\n- /no", "pkgs_dirs:"), ["/a", "/no"], "no list at all, and no harm");
        assert_eq!(all("#pkgs_dirs:\n#  - /a\nx:\n  - /b", "pkgs_dirs:"), [""; 0]);
    }

    #[test]
    fn scopes_of_apt_are_written_in_both_forms() {
        let key = "Dir::Cache::archives";
        assert_eq!(all("Dir::Cache::archives \"/srv/debs\";\n", "dir::cache::archives"), ["/srv/debs"]);
        assert_eq!(all("Dir{Cache{srcpkgcache \"\";archives \"/a b\";}}", key), ["/a b"]);
        assert_eq!(all("Dir \"/\" { Cache \"/c\" {\n Archives /a; // x\n}; };\nDir::Cache \"/d\";", key), ["/a"]);
        assert_eq!(all("Dir::Cache::archives \"/a\";Dir::Cache \"/d\";", "Dir::Cache"), ["/d"]);
        let comments =
            "// Dir::Cache::archives \"/a\";\n# Dir::Cache::archives \"/a\";\n/* Dir::Cache::archives \"/a\";\n*/";
        assert_eq!(all(comments, key), [""; 0]);
        assert_eq!(all("Dir::Cache // mine; not yours\n\"/d\";", "Dir::Cache"), ["/d"]);
        assert_eq!(all("Dir::Cache::archives \"\";", key), [""; 0]);
        assert_eq!(all("} Dir { \"", key), [""; 0]);
    }
}
