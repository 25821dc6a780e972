//! Finds headers, static libraries and what else compilers and linkers read, where there is no compiler.

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node};
use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::rules;
use crate::analysis::image::waste::{self, Finder, decline};

const ASSUMES: &[Assumption] = &[Assumption {
    name: "headers-and-archives-serve-compilers",
    holds: "headers, static libraries and settings for builds are read by compilers and linkers alone",
}];

pub(crate) const PASS: Pass = Pass {
    name: "development-files",
    summary: "headers, static libraries and settings for builds in images without a compiler",
    level: Level::Os,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("development_files.md"),
    aliases: &[],
    run: Run::Image(run),
};

/// Programs that read headers or static libraries, without the version and the target that their names may have.
const COMPILERS: [&str; 34] = [
    "gcc",
    "g++",
    "cc",
    "c++",
    "c89",
    "c99",
    "cpp",
    "cc1",
    "cc1plus",
    "clang",
    "clang++",
    "tcc",
    "icc",
    "icx",
    "nvcc",
    "hipcc",
    "gfortran",
    "gnat",
    "go",
    "rustc",
    "zig",
    "ghc",
    "ocamlopt",
    "ocamlfind",
    "fpc",
    "ldc2",
    "dmd",
    "nim",
    "crystal",
    "swiftc",
    "bpftrace",
    "bcc",
    "gdc",
    "musl-gcc",
];

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    if let Some(compiler) = compiler(unit, plan) {
        let finder = Finder::new(unit, plan);
        let found: usize = rules::of(PASS.name).map(|rule| finder.find(rule).len()).sum();
        let reason = format!("headers and static libraries stay: {} is there, which reads them", unit.shown(compiler));
        return if found == 0 { Vec::new() } else { vec![decline(None, reason)] };
    }
    waste::run(unit, plan, PASS.name)
}

/// A compiler that stays: something that may be run and is called like one, in whichever folder.
fn compiler(unit: &ImageUnit<'_>, plan: &Plan) -> Option<Node> {
    let tree = &unit.upper;
    let is_compiler = |node: &Node| {
        let attributes = tree.attributes(*node);
        let is_program = match attributes.kind {
            Kind::File => attributes.mode & 0o111 != 0,
            Kind::Symlink => true,
            _ => false,
        };
        is_program
            && is_called_compiler(tree.name(*node))
            && is_in_programs(unit, *node)
            && !plan.edits.is_gone(tree, *node)
    };
    tree.walk().find(is_compiler)
}

/// Whether something lies where programs lie, and not among shell completions or licences.
fn is_in_programs(unit: &ImageUnit<'_>, node: Node) -> bool {
    let tree = &unit.upper;
    let folders = tree.ancestors(node).skip(1).map(|folder| tree.name(folder));
    let name = folders.take(1).next().unwrap_or_default();
    let path = tree.path(node);
    name.ends_with(b"bin") || path.contains_str("/gcc/") || path.contains_str("/libexec/")
}

/// Whether a name is a compiler's: `gcc-12`, `x86_64-linux-gnu-g++`, `clang-14`.
fn is_called_compiler(name: &[u8]) -> bool {
    let is_of_version = |byte: u8| byte.is_ascii_digit() || b".-".contains(&byte);
    let stem = name.trim_end_with(|c| u8::try_from(c).is_ok_and(is_of_version));
    let is_compiler = |name: &[u8]| COMPILERS.iter().any(|compiler| name == compiler.as_bytes());
    let target = stem.rsplit_once_str("-").filter(|(target, _)| target.contains(&b'-'));
    is_compiler(name) || is_compiler(stem) || target.is_some_and(|(_, rest)| is_compiler(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_known_by_version_and_target() {
        let compilers =
            ["gcc", "gcc-12", "x86_64-linux-gnu-gcc-12", "aarch64-linux-gnu-g++", "clang++-14", "go", "c99"];
        assert!(compilers.iter().all(|name| is_called_compiler(name.as_bytes())));
        let others = ["gcc-ar", "bcc-lua", "go-md2man", "pkg-config", "cccp", "occ", "python3.11"];
        assert!(others.iter().all(|name| !is_called_compiler(name.as_bytes())));
    }
}
