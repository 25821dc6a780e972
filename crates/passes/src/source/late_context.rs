//! Finds COPY, ADD, WORKDIR, ENV and the like that stand between RUN instructions, and moves them to where the RUNs can
//! meet.

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::Kind;

use crate::analysis::effects::{self, Effects};
use crate::analysis::hazards;
use crate::analysis::join::Part;
use crate::analysis::moves::{self, Down, Way};

pub(crate) const PASS: Pass = Pass {
    name: "late-context",
    summary: "COPY, ADD, WORKDIR, ENV and others that keep RUN instructions apart",
    level: Level::O1,
    safety: Safety::Assuming(&[effects::PACKAGE_MANAGERS]),
    page: include_str!("late_context.md"),
    aliases: &[],
    run: Run::Source(run),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    for stage in unit.stages() {
        let runs: Vec<usize> = stage.instructions.clone().filter(|at| unit.kind(*at) == Kind::Run).collect();
        let links = effects::links(unit, stage.instructions.clone());
        // A RUN that something moves across is left alone for this round: what it touches changes its place.
        let mut free = 0;
        for pair in runs.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if second == first + 1 || first < free {
                continue;
            }
            match propose(unit, first, second, &links) {
                Ok(finding) => {
                    remarks.push(SourceRemark::Found(finding));
                    free = second + 1;
                }
                Err(decline) => remarks.push(SourceRemark::Declined(decline)),
            }
        }
    }
    remarks
}

/// What may stand in front of a RUN's commands, in bytes: about two lines.
const LONGEST_PREFIX: usize = 200;

fn propose(
    unit: &SourceUnit<'_>,
    first: usize,
    second: usize,
    links: &[(usize, String)],
) -> Result<SourceFinding, SourceDecline> {
    let decline = |at: usize, code, reason| SourceDecline { span: unit.instruction(at).span, code, reason };
    let refused = |refusal: hazards::Refusal| decline(second, refusal.code, refusal.reason);
    hazards::alone(unit, first).map_err(refused)?;
    hazards::alone(unit, second).map_err(refused)?;
    // Nothing is moved for RUNs that cannot be joined then.
    Part::of(unit, first, None).and_then(|_| Part::of(unit, second, Some(first))).map_err(refused)?;
    let members: Vec<usize> = (first + 1..second).collect();
    if let Some(at) = members.iter().copied().find(|at| !moves::is_movable(unit.kind(*at))) {
        let reason = format!("{} cannot be moved across a RUN", unit.kind(at).keyword());
        return Err(decline(at, "not-movable", reason));
    }
    hazards::between(unit, first, second).map_err(refused)?;
    let known = |run: usize| {
        let before = links.iter().filter(|(at, _)| *at <= run).map(|(_, path)| path.clone());
        effects::known(unit, run).map(|effects| Effects { links: before.collect(), ..effects })
    };
    let (above, below) = (known(first), known(second));
    let mut ways: Vec<(usize, Way)> = Vec::new();
    for at in members {
        let depends = ways.iter().any(|(before, way)| matches!(way, Way::Down(_)) && moves::depends(unit, *before, at));
        let up = if depends {
            Err("it depends on what stands before it".to_owned())
        } else {
            moves::up(unit, at, first, &above)
        };
        let way = match up {
            Ok(()) => Way::Up,
            Err(no_up) => match moves::down(unit, at, second, &below) {
                Ok(Down { prefix }) => Way::Down(prefix),
                Err(no_down) => {
                    let keyword = unit.kind(at).keyword();
                    let reason = format!(
                        "{keyword} stays between two RUNs: above the first one, {no_up}; below the second one, {no_down}"
                    );
                    return Err(decline(at, "not-proven", reason));
                }
            },
        };
        ways.push((at, way));
    }
    moves::drop_replaced(unit, &mut ways);
    let length: usize = ways.iter().map(|(_, way)| if let Way::Down(prefix) = way { prefix.len() } else { 0 }).sum();
    if length > LONGEST_PREFIX {
        let reason = "what the second RUN would need in front of it is too long to be read".to_owned();
        return Err(decline(second, "long-prefix", reason));
    }
    Ok(finding(unit, first, second, &ways))
}

fn finding(unit: &SourceUnit<'_>, first: usize, second: usize, ways: &[(usize, Way)]) -> SourceFinding {
    let source = unit.tree.text();
    let mut edits = Vec::new();
    let (mut up, mut down, mut prefix) = (String::new(), String::new(), String::new());
    for (at, way) in ways {
        let lines = moves::block(unit, *at);
        let text = lines.of(source).replace("\r\n", "\n");
        edits.push(TextEdit::delete(lines));
        match way {
            Way::Up => up += &text,
            Way::Down(own) => {
                down += &text;
                prefix += own;
            }
        }
    }
    if !up.is_empty() {
        edits.push(TextEdit::insert(moves::block(unit, first).start, moves::ended(up)));
    }
    if !down.is_empty() {
        let end = unit.lines_of(second).end;
        let starts_line = source[..end as usize].ends_with('\n');
        let text = if starts_line { moves::ended(down) } else { format!("\n{}", down.trim_end_matches('\n')) };
        edits.push(TextEdit::insert(end, text));
    }
    if !prefix.is_empty() {
        edits.extend(moves::prefixed(unit, second, &prefix));
    }
    let mut keywords: Vec<&str> = ways.iter().map(|(at, _)| unit.kind(*at).keyword()).collect();
    keywords.dedup();
    let verb = if keywords.len() == 1 { "keeps" } else { "keep" };
    let message = format!("{} {verb} two RUN instructions apart that can be one", keywords.join(", "));
    let (from, to) = (ways[0].0, ways[ways.len() - 1].0);
    let span = unit.instruction(from).span.to(unit.instruction(to).span);
    SourceFinding::fixed(span, message, edits, SourceClaim::Same)
}
