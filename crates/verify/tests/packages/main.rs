//! Packages that are claimed to be gone: databases as the managers leave them are accepted, and whatever else happens is
//! refused.

mod bed;
#[path = "../../../image/tests/packages/berkeley.rs"]
mod berkeley;
mod debian;
mod edited;
mod forgotten;
#[path = "../../../image/tests/packages/ndb.rs"]
mod ndb;
mod others;
#[path = "../../../image/tests/packages/sqlite.rs"]
mod sqlite;
