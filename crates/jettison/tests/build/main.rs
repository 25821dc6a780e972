//! `jettison build` end to end: every case of `builds/*.txt` by the embedded engine, its final tree and settings
//! compared with what the case says. The tree is read from a tar by other code than jettison's own.
//!
//! `JETTISON_BUILDS_ONLY=TEXT` takes the cases whose name or file holds the text.

mod apk;
mod article;
mod build_cases;
mod cache;
mod compare;
mod contexts;
mod each;
mod faults;
mod final_stage;
#[path = "../format/mod.rs"]
mod format;
mod hostile;
mod isolation;
mod lines;
mod packages;
mod prepared;
mod prove;
mod prove_faults;
mod prove_wrong;
mod removals;
mod reorder;
mod reuse;
mod sampled;
mod site;
mod smoke;
mod stopped;
mod suite;
mod talk;
mod trace;
mod tree;
mod ways;

#[test]
fn cases_come_out_as_they_say() {
    assert_eq!(suite::run(suite::Way::default()), 0);
}
