//! Writes several RUN instructions as one: one command a line, comments above their command, the layout kept.

use jettison_ir::source::{RunStyle, SourceUnit};
use jettison_syntax::Span;
use jettison_syntax::shell::Script;

use super::hazards::Refusal;
use super::state::{self, Tier};

/// The longest script that a kernel takes as one argument, with room for the shell's own words: 128 KiB.
const LONGEST_SCRIPT: usize = 130_000;

/// One of the commands that are joined.
pub(crate) struct Part<'u> {
    /// The instruction.
    pub(crate) at: usize,
    /// Its parsed text.
    pub(crate) script: &'u Script,
    /// How it can be joined.
    pub(crate) tier: Tier,
    /// Its shell text as it stands in the Dockerfile, continuations and comments within, without what ends it.
    text: String,
    /// Whether that is more than one line.
    is_long: bool,
    /// The comments that stand between it and the one before, and its own shell comment.
    comments: Vec<String>,
    /// Bodies of heredocs, which stand behind the last line.
    heredocs: String,
    /// Whether the whole command is a heredoc.
    is_heredoc: bool,
}

impl<'u> Part<'u> {
    /// The part that an instruction is; `previous` is the one before in the same group.
    pub(crate) fn of(unit: &'u SourceUnit<'_>, at: usize, previous: Option<usize>) -> Result<Self, Refusal> {
        let refuse = |code, reason: &str| Err(Refusal { code, reason: reason.to_owned() });
        let (Some(run), Some(script)) = (unit.text(at), unit.script(at)) else {
            return refuse("unread-shell", "its shell is none whose language is read here");
        };
        let tree = unit.tree;
        let instruction = unit.instruction(at);
        let end = script.body.items.last().map_or(script.body.span.end, |item| item.span.end);
        let line_end = if run.is_heredoc { end } else { instruction.body.rest.end - instruction.body.rest.start };
        let code = Span { start: script.body.span.start, end: end.min(line_end) };
        let mut comments: Vec<String> = Vec::new();
        if let Some(previous) = previous {
            let from = tree.instructions[previous].within.1 as usize;
            let between = &tree.comments[from..instruction.within.0 as usize];
            comments.extend(between.iter().map(|comment| comment.span.of(tree.text()).trim_end().to_owned()));
        }
        let source = unit.source_span(at, code);
        let text = if run.is_heredoc { code.of(&run.text) } else { source.of(tree.text()) }.to_owned();
        if !run.is_heredoc {
            // Comments among its lines stay there; those above and below the commands go above them. Those above the
            // first part stand between its keyword and its commands, which stay as they are.
            let within = &tree.comments[instruction.within.0 as usize..instruction.within.1 as usize];
            let is_outside = |at: u32| at >= source.end || (at < source.start && previous.is_some());
            let outside = within.iter().filter(|comment| is_outside(comment.span.start));
            comments.extend(outside.map(|comment| comment.span.of(tree.text()).trim_end().to_owned()));
        }
        // A comment of the shell goes to the end of its line: that of a one-line script, to the end of all of it.
        if !run.is_heredoc {
            for comment in &script.comments {
                let shown = unit.source_span(at, *comment).of(tree.text());
                if comment.start < code.end || shown.contains('\n') {
                    return refuse("shell-comment", "a comment of the shell stands in the middle of it");
                }
                comments.push(shown.trim_end().to_owned());
            }
        }
        let heredocs = if run.is_heredoc { String::new() } else { bodies(unit, at) };
        let is_long = text.contains('\n');
        let tier = state::tier(script);
        Ok(Self { at, script, tier, text, is_long, comments, heredocs, is_heredoc: run.is_heredoc })
    }
}

/// The heredocs' lines of an instruction, with the lines that end them.
fn bodies(unit: &SourceUnit<'_>, at: usize) -> String {
    let source = unit.tree.text();
    let heredocs = &unit.instruction(at).heredocs;
    heredocs.iter().map(|heredoc| format!("{}{}\n", heredoc.body.of(source), heredoc.terminator.of(source))).collect()
}

/// Raises the tiers of parts whose lookups would linger: a shell remembers where it found a command, and a later part
/// must not run the old one once another was installed.
pub(crate) fn separate_lookups(parts: &mut [Part<'_>]) {
    for at in 0..parts.len() {
        if parts[at].tier != Tier::Plain {
            continue;
        }
        let later: Vec<&str> = parts[at + 1..].iter().flat_map(|part| state::looked_up(part.script)).collect();
        let scripts: Vec<&Script> = parts[at..].iter().map(|part| part.script).collect();
        let lingers = |name: &&str| later.contains(name) && state::changes_lookup(name, &scripts);
        if state::looked_up(parts[at].script).iter().any(lingers) {
            parts[at].tier = Tier::Subshell;
        }
    }
}

/// The merged instruction's text.
pub(crate) fn join(unit: &SourceUnit<'_>, parts: &[Part<'_>]) -> Result<String, Refusal> {
    let head = head(unit, parts[0].at);
    let heredoc = unit.options.style == RunStyle::Heredoc || parts.iter().any(|part| part.is_heredoc);
    let errexit = unit.settings(parts[0].at).shell.has_option('e');
    let text = if heredoc {
        if parts.iter().any(|part| !part.heredocs.is_empty()) {
            let reason = "heredocs inside of a heredoc are better written by hand".to_owned();
            return Err(Refusal { code: "nested-heredoc", reason });
        }
        format!("{head}{}", as_heredoc(unit, parts, errexit))
    } else if errexit || parts.iter().any(|part| part.tier == Tier::ErrorExit) {
        format!("{head}{}", as_list(unit, parts, errexit))
    } else {
        format!("{head}{}", as_and_list(unit, parts))
    };
    if text.len() > LONGEST_SCRIPT || text.lines().any(|line| line.len() > 65_000) {
        let reason = "together they are longer than a kernel takes as one argument".to_owned();
        return Err(Refusal { code: "too-long", reason });
    }
    let heredocs: String = parts.iter().map(|part| part.heredocs.as_str()).collect();
    // The last line end belongs to what follows the instruction.
    Ok(if heredocs.is_empty() { text } else { format!("{text}\n{}", heredocs.trim_end_matches('\n')) })
}

/// Keyword and flags as they stand in the Dockerfile, up to the command.
fn head(unit: &SourceUnit<'_>, at: usize) -> String {
    let instruction = unit.instruction(at);
    let start = instruction.span.start;
    let command = instruction.logical.source_of(instruction.body.rest.start);
    Span { start, end: command }.of(unit.tree.text()).to_owned()
}

/// How a file lays out its and-lists.
struct Layout {
    indent: String,
    /// Whether `&&` ends a line, and does not start the next.
    trailing: bool,
}

impl Layout {
    /// The layout that the joined instructions have, or else the file.
    fn of(unit: &SourceUnit<'_>, parts: &[Part<'_>]) -> Self {
        let own: String = parts.iter().map(|part| format!("{}\n", part.text)).collect();
        Self::seen(&own, unit.tree.escape)
            .or_else(|| Self::seen(unit.tree.text(), unit.tree.escape))
            .unwrap_or_else(|| Self { indent: "    ".to_owned(), trailing: false })
    }

    fn seen(text: &str, escape: char) -> Option<Self> {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let indent = |line: &str| line[..line.len() - line.trim_start().len()].to_owned();
            if line.trim_start().starts_with("&& ") && line.trim_start().len() < line.len() {
                return Some(Self { indent: indent(line), trailing: false });
            }
            let before = line.trim_end().strip_suffix(escape).map_or("", str::trim_end);
            if before.ends_with("&&") {
                let next = lines.peek().map(|next| indent(next)).filter(|indent| !indent.is_empty());
                return Some(Self { indent: next.unwrap_or_else(|| "    ".to_owned()), trailing: true });
            }
        }
        None
    }
}

/// The commands of a part, a line each where it is a plain one-liner.
fn lines<'p>(part: &'p Part<'_>) -> Vec<&'p str> {
    if part.tier != Tier::Plain || part.is_long || part.is_heredoc {
        return vec![part.text.trim_end()];
    }
    let start = part.script.body.span.start;
    let cut = |span: Span| &part.text[(span.start - start) as usize..(span.end - start) as usize];
    state::steps(part.script).into_iter().map(|step| cut(step.span)).collect()
}

fn as_and_list(unit: &SourceUnit<'_>, parts: &[Part<'_>]) -> String {
    let Layout { indent, trailing } = Layout::of(unit, parts);
    let mut out = String::new();
    for part in parts {
        let comments: String = part.comments.iter().map(|comment| format!("{indent}{comment}\n")).collect();
        let wrapped = format!("( {} )", part.text.trim_end());
        let lines = if part.tier == Tier::Plain { lines(part) } else { vec![wrapped.as_str()] };
        for (at, line) in lines.into_iter().enumerate() {
            let comments = if at == 0 { comments.as_str() } else { "" };
            match (out.is_empty(), trailing) {
                (true, _) if comments.is_empty() => {}
                (true, _) => out = format!("\\\n{comments}{indent}"),
                (false, true) => out += &format!(" && \\\n{comments}{indent}"),
                (false, false) => out += &format!(" \\\n{comments}{indent}&& "),
            }
            out += line;
        }
    }
    out
}

/// `set -e; a; ( set +e; b ); c`: stops at the first part that fails, whatever the parts do about errors themselves.
fn as_list(unit: &SourceUnit<'_>, parts: &[Part<'_>], errexit: bool) -> String {
    let Layout { indent, .. } = Layout::of(unit, parts);
    let mut items: Vec<(String, String)> = Vec::new();
    if !errexit {
        items.push((String::new(), "set -e".to_owned()));
    }
    for part in parts {
        let comments: String = part.comments.iter().map(|comment| format!("{indent}{comment}\n")).collect();
        if let Some(inner) = state::behind_set_e(part.script).filter(|_| !errexit && !part.is_heredoc) {
            let start = unit.source_span(part.at, part.script.body.span).start;
            let from = unit.source_span(part.at, inner).start - start;
            items.push((comments, part.text[from as usize..].trim_end().to_owned()));
            continue;
        }
        let is_same = part.tier == Tier::Plain && state::is_same_with_errexit(part.script);
        if is_same && !part.is_long {
            for (at, line) in lines(part).into_iter().enumerate() {
                items.push((if at == 0 { comments.clone() } else { String::new() }, line.to_owned()));
            }
        } else {
            let reset = if errexit || is_same { "" } else { "set +e; " };
            items.push((comments, format!("( {reset}{} )", part.text.trim_end())));
        }
    }
    let mut out = String::new();
    for (at, (comments, item)) in items.iter().enumerate() {
        match (at, comments.is_empty()) {
            (0, true) => {}
            (0, false) => out = format!("\\\n{comments}{indent}"),
            _ => out += &format!("; \\\n{comments}{indent}"),
        }
        out += item;
    }
    out
}

fn as_heredoc(unit: &SourceUnit<'_>, parts: &[Part<'_>], errexit: bool) -> String {
    let mut body = String::new();
    if !errexit {
        body += "set -e\n";
    }
    for part in parts {
        // Comments among continued lines are none of the shell's: they go above the command.
        let within = unit.instruction(part.at).within;
        let inner = &unit.tree.comments[within.0 as usize..within.1 as usize];
        let inner = inner.iter().map(|comment| comment.span.of(unit.tree.text()).trim_end());
        for comment in part.comments.iter().map(String::as_str).chain(inner) {
            body += comment;
            body.push('\n');
        }
        let start = part.script.body.span.start as usize;
        let end = part.script.body.items.last().map_or(start, |item| item.span.end as usize);
        let text = part.script.text[start..end].trim_end();
        if part.tier == Tier::Plain && state::is_same_with_errexit(part.script) {
            for step in state::steps(part.script) {
                body += step.span.of(&part.script.text);
                body.push('\n');
            }
        } else {
            let reset = if errexit { "" } else { "set +e\n" };
            body += &format!("(\n{reset}{text}\n)\n");
        }
    }
    let taken = |name: &&str| body.lines().any(|line| line.trim_start_matches('\t') == *name);
    let name = ["EOF", "EOT", "END", "EOF_RUN"].into_iter().find(|name| !taken(name)).unwrap_or("JETTISON_EOF");
    format!("<<{name}\n{body}{name}")
}
